"""A fully connected network of any width and depth: how cost and memory grow with the network."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from harness.checks import require_count
from harness.problems.activations import activation
from harness.problems.fully_connected import draw_layers, forward, layer_shapes, mean_squared_error
from harness.problems.synthetic import Arrays, Data, Examples, Synthetic
from harness.pytree import Params

TEACHER_UNITS = 16


@dataclass(frozen=True, kw_only=True)
class Mlp(Synthetic):
    """Regress what a random teacher computes, another one in each task.

    The teacher has one layer of 16 tanh units and Gaussian weights; inputs, shape (n, inputs), are standard normal;
    targets have shape (n, outputs) and a variance below 1. The loss is the mean squared error of a network with
    width (inputs + 1) + (depth − 1) width (width + 1) + outputs (width + 1) parameters. As initialised, its gradients
    fade with depth: deep networks serve to study cost and memory, less so accuracy.

    Args:
        width: Units of each hidden layer.
        depth: Hidden layers.
        inputs: Dimension of the inputs.
        outputs: Dimension of the targets.
        shots: Examples of the support set.
        queries: Examples of the query set.
        activation: ``relu``, ``tanh`` or ``softplus``.
    """

    size: ClassVar[tuple[str, ...]] = ("width",)
    """Parameters that make the model larger, scaled together."""

    width: int = 128
    depth: int = 3
    inputs: int = 16
    outputs: int = 1
    shots: int = 32
    queries: int = 32
    activation: str = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("width", "depth", "inputs", "outputs", "shots", "queries"):
            require_count(key, getattr(self, key))
        activation(self.activation)

    def inner_loss(self, params: Params, support: Data) -> Tensor:
        """Mean squared error."""
        inputs, targets = support
        return mean_squared_error(forward(params, inputs, activation(self.activation)), targets)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (self.inputs, *[self.width] * self.depth, self.outputs)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights and biases."""
        return layer_shapes(self._sizes)

    def draw_theta(self, rng: np.random.Generator) -> Arrays:
        """Weights and biases as in ``torch.nn.Linear``."""
        return draw_layers(self._sizes, rng)

    def draw_task(self, rng: np.random.Generator) -> tuple[Examples, Examples]:
        """Examples labelled by one teacher."""
        features = rng.standard_normal((self.inputs, TEACHER_UNITS)) / np.sqrt(self.inputs)
        readout = rng.standard_normal((TEACHER_UNITS, self.outputs)) / np.sqrt(TEACHER_UNITS)

        def examples(n: int) -> Examples:
            inputs = rng.standard_normal((n, self.inputs))
            return inputs, np.tanh(inputs @ features) @ readout

        return examples(self.shots), examples(self.queries)
