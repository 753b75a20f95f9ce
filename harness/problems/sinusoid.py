"""Sine waves of unknown amplitude and phase, the regression problem of the MAML paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from harness.checks import is_count, require_count
from harness.errors import BadInput
from harness.problems.activations import activation
from harness.problems.fully_connected import draw_layers, forward, layer_shapes, mean_squared_error
from harness.problems.synthetic import Arrays, Data, Examples, Synthetic
from harness.pytree import Params


@dataclass(frozen=True, kw_only=True)
class Sinusoid(Synthetic):
    """Regress y = A sin(x − φ) from a few points (Finn, Abbeel & Levine 2017, section 5.1).

    Of each task, A is uniform in [0.1, 5] and φ in [0, π]; x is uniform in [−5, 5]. Inputs and targets have shape
    (n, 1). The loss is the mean squared error of a fully connected network: 1,761 parameters with two hidden layers
    of 40.

    Args:
        shots: Points of the support set.
        queries: Points of the query set.
        hidden: Units of each hidden layer.
        activation: ``relu`` (the paper's), ``tanh`` or ``softplus``.
    """

    size: ClassVar[tuple[str, ...]] = ("hidden",)
    """Parameters that make the model larger, scaled together."""

    shots: int = 10
    queries: int = 10
    hidden: Sequence[int] = (40, 40)
    activation: str = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("shots", "queries"):
            require_count(key, getattr(self, key))
        if not isinstance(self.hidden, list | tuple) or not self.hidden or not all(map(is_count, self.hidden)):
            raise BadInput(f"hidden: {self.hidden!r} is not a list of positive whole numbers")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        activation(self.activation)

    def inner_loss(self, params: Params, support: Data) -> Tensor:
        """Mean squared error."""
        inputs, targets = support
        return mean_squared_error(forward(params, inputs, activation(self.activation)), targets)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights and biases."""
        return layer_shapes((1, *self.hidden, 1))

    def draw_theta(self, rng: np.random.Generator) -> Arrays:
        """Weights and biases as in ``torch.nn.Linear``."""
        return draw_layers((1, *self.hidden, 1), rng)

    def draw_task(self, rng: np.random.Generator) -> tuple[Examples, Examples]:
        """Points of one wave."""
        amplitude, phase = rng.uniform(0.1, 5), rng.uniform(0, np.pi)

        def points(n: int) -> Examples:
            inputs = rng.uniform(-5, 5, (n, 1))
            return inputs, amplitude * np.sin(inputs - phase)

        return points(self.shots), points(self.queries)
