"""Fully connected networks: their parameters and what they compute."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from harness.problems.synthetic import Arrays
from harness.pytree import Params


def layer_shapes(sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters of a network with these layer sizes, those of the inputs first.

    ``layer0.weight`` has shape (outputs, inputs), ``layer0.bias`` (outputs,), and so on to the last layer.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        shapes |= {f"layer{layer}.weight": (outputs, inputs), f"layer{layer}.bias": (outputs,)}
    return shapes


def draw_layers(sizes: Sequence[int], rng: np.random.Generator) -> Arrays:
    """Parameters of the shapes :func:`layer_shapes`, all uniform within ±1 / √fan-in, as in ``torch.nn.Linear``."""
    shapes = layer_shapes(sizes)
    bounds = [1 / np.sqrt(inputs) for inputs in sizes[:-1] for _ in ("weight", "bias")]
    return {name: rng.uniform(-bound, bound, shapes[name]) for name, bound in zip(shapes, bounds, strict=True)}


def forward(params: Params, inputs: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """The network's output, shape (n, outputs), for inputs of shape (n, inputs); linear in the last layer."""
    x, last = inputs, len(params) // 2 - 1
    for layer in range(last + 1):
        x = F.linear(x, params[f"layer{layer}.weight"], params[f"layer{layer}.bias"])
        if layer < last:
            x = activation(x)
    return x


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over all elements. Written out, because forward mode over the gradient of ``F.mse_loss`` raises."""
    return (outputs - targets).square().mean()
