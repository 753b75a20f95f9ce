"""Fully connected networks: their parameters and what they compute."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from harness.problems.synthetic import Arrays
from harness.pytree import Params


def draw_layers(sizes: Sequence[int], rng: np.random.Generator) -> Arrays:
    """Parameters of a network with these layer sizes, those of the inputs first.

    ``layer0.weight`` has shape (outputs, inputs), ``layer0.bias`` (outputs,), and so on to the last layer. All are
    uniform within ±1 / √fan-in, as in ``torch.nn.Linear``.
    """
    params: Arrays = {}
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        bound = 1 / np.sqrt(inputs)
        params[f"layer{layer}.weight"] = rng.uniform(-bound, bound, (outputs, inputs))
        params[f"layer{layer}.bias"] = rng.uniform(-bound, bound, outputs)
    return params


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
