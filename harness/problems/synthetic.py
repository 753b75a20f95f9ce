"""What problems drawn from random numbers have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.bilevel import Task
from harness.checks import require_dtype, require_seed
from harness.pytree import Params

Arrays: TypeAlias = dict[str, NDArray[np.float64]]
Examples: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""Inputs and targets."""
Data: TypeAlias = tuple[Tensor, Tensor]
"""The same as tensors: real numbers in the problem's dtype, whole numbers as int64."""


@dataclass(frozen=True, kw_only=True)
class Synthetic(ABC):
    """A problem whose values are drawn by numpy in float64 and rounded: the same one in every dtype, on every device.

    Support and query set have the same form, and the outer loss is the inner one unless a problem says otherwise.

    Args:
        dtype: Of everything returned: ``float64``, ``float32`` or ``bfloat16``.
        device: Where the tensors live.
        seed: Draws θ.

    Raises:
        BadInput: A parameter out of its range.
    """

    dtype: str = "float32"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        require_dtype(self.dtype)
        require_seed("seed", self.seed)

    def theta(self) -> Params:
        """The initial parameters. On the device ``meta``, which holds no values, none are drawn."""
        if self.device == "meta":
            dtype = getattr(torch, self.dtype)
            return {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape in self.shapes().items()}
        drawn = self.draw_theta(np.random.default_rng([self.seed, 0]))
        return {name: self._tensor(values) for name, values in drawn.items()}

    def tasks(self, n: int, seed: int) -> Sequence[Task]:
        """``n`` tasks, each with a generator of its own: the first ones do not depend on ``n``."""
        return [self._task(np.random.default_rng([seed, index, 1])) for index in range(n)]

    @abstractmethod
    def inner_loss(self, params: Params, support: Data) -> Tensor:
        """L̂(φ), a scalar."""

    def outer_loss(self, params: Params, query: Data) -> Tensor:
        """The inner loss on the query set."""
        return self.inner_loss(params, query)

    @abstractmethod
    def draw_theta(self, rng: np.random.Generator) -> Arrays:
        """θ by name."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of θ by name: those of what is drawn, unless a problem knows them beforehand."""
        return {name: values.shape for name, values in self.draw_theta(np.random.default_rng(0)).items()}

    @abstractmethod
    def draw_task(self, rng: np.random.Generator) -> tuple[Examples, Examples]:
        """A task's support and query set."""

    def _task(self, rng: np.random.Generator) -> Task:
        support, query = self.draw_task(rng)
        return Task(self._data(support), self._data(query))

    def _data(self, examples: Examples) -> Data:
        inputs, targets = examples
        return self._tensor(inputs), self._tensor(targets)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        dtype = getattr(torch, self.dtype) if values.dtype.kind == "f" else torch.int64
        return torch.from_numpy(values).to(device=self.device, dtype=dtype)
