"""A problem of one's own: linear regression that outliers hardly move."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.bilevel import Task
from harness.checks import require_count, require_fraction
from harness.pytree import Params

Data = tuple[Tensor, Tensor]
"""Inputs (n, dim) and targets (n,)."""


@dataclass(frozen=True)
class RobustRegression:
    """Both losses are the mean of √(1 + r²) − 1 over the residuals r = xᵀw − y: smooth, convex and not quadratic.

    A problem needs no base class: whatever has these four methods is one.

    Args:
        dim: Number of parameters.
        n: Examples in each of a task's two sets.
        outliers: Share of the targets that are far off.
        dtype: Of everything returned. With ``device`` and ``seed`` it comes from the cell that is measured; all else
            comes from the suite's [problem] table, where a list is an axis of the grid.
        device: Where the tensors live.
        seed: Draws θ.
    """

    dim: int = 10
    n: int = 50
    outliers: float = 0.1
    dtype: str = "float64"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        # These raise BadInput, which the command line shows as one line: which parameter, its value, what is wrong.
        require_count("dim", self.dim)
        require_count("n", self.n)
        require_fraction("outliers", self.outliers)

    def theta(self) -> Params:
        """``{"w": (dim,)}``, the same at every call: drawn from the seed."""
        return {"w": self._tensor(np.random.default_rng(self.seed).standard_normal(self.dim))}

    def inner_loss(self, params: Params, support: Data) -> Tensor:
        """A scalar, by operations that autograd can differentiate twice; estimators add the proximal term."""
        inputs, targets = support
        residuals = inputs @ params["w"] - targets
        return (torch.sqrt(1 + residuals.square()) - 1).mean()

    def outer_loss(self, params: Params, query: Data) -> Tensor:
        """The same on the query set; it may be another loss altogether."""
        return self.inner_loss(params, query)

    def tasks(self, n: int, seed: int) -> Sequence[Task]:
        """Each task has weights of its own, and is the same for the same seed."""
        return [self._task(np.random.default_rng([seed, index])) for index in range(n)]

    def _task(self, rng: np.random.Generator) -> Task:
        weights = rng.standard_normal(self.dim)

        def examples() -> Data:
            inputs = rng.standard_normal((self.n, self.dim))
            errors = rng.standard_normal(self.n) * np.where(rng.random(self.n) < self.outliers, 30.0, 0.1)
            return self._tensor(inputs), self._tensor(inputs @ weights + errors)

        return Task(support=examples(), query=examples())

    def _tensor(self, values: np.ndarray) -> Tensor:
        """Drawn in float64 on the CPU and rounded, so that all dtypes and devices are given the same numbers."""
        return torch.from_numpy(values).to(self.device, getattr(torch, self.dtype))
