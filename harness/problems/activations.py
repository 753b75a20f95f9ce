"""Activation functions, by the names problems take."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.errors import unknown

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "tanh": torch.tanh, "softplus": F.softplus}
"""ReLU's kinks keep an inner problem from converging; the other two are smooth."""


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation called ``name``.

    Raises:
        BadInput: There is none; the message suggests the nearest name.
    """
    if name not in list(ACTIVATIONS):  # a list from a suite has no hash
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
