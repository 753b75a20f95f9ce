"""Which layer it was: calls of a module's layers, noted one by one."""

import pickle
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer."""

    name: str
    """The layer's within the module; empty for the module itself."""
    kind: str
    drew: bool
    """Whether the layer, or one within it, drew random numbers."""
    inputs: list[Tensor]
    outputs: list[Tensor]

    @property
    def words(self) -> str:
        """The layer, for a message."""
        return f"module {self.name}: {self.kind}" if self.name else f"module {self.kind}"


def traced(module: nn.Module, run: Callable[[nn.Module], object], device: torch.device) -> list[LayerCall]:
    """The calls that ``run`` makes of the module's layers, in the order in which they return.

    Args:
        module: A replica or a copy: it is left with the notes in it.
        run: Calls it.
        device: Whose random state is watched beside those of the host.
    """
    calls: list[LayerCall] = []
    for name, layer in module.named_modules():
        vars(layer)["forward"] = _noting(name, layer, device, calls)
    run(module)
    return calls


def _noting(name: str, layer: nn.Module, device: torch.device, calls: list[LayerCall]) -> Callable[..., Any]:
    forward = layer.forward

    def noted(*args: Any, **kwargs: Any) -> Any:
        before, inputs = random_states(device), _kept((args, kwargs))
        result = forward(*args, **kwargs)
        calls.append(LayerCall(name, type(layer).__name__, random_states(device) != before, inputs, _kept(result)))
        return result

    return noted


def first_difference(one: list[LayerCall], other: list[LayerCall]) -> LayerCall | None:
    """The innermost call that makes different things of the same, the first of them."""
    for own, its in zip(one, other, strict=False):
        if own.name == its.name and _all_same(own.inputs, its.inputs) and not _all_same(own.outputs, its.outputs):
            return own
    return None


def same(one: Tensor, other: Tensor) -> bool:
    """Whether all values are equal; those that are no numbers are, where both are none."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def tensors_in(data: Any) -> list[Tensor]:
    """The tensors in nested data, in order."""
    return [leaf for leaf in pytree.tree_leaves(data) if isinstance(leaf, Tensor)]


def random_states(device: torch.device) -> bytes:
    """The states of the global generators that a layer may draw from: PyTorch's, Python's and NumPy's."""
    own = [torch.get_rng_state().numpy().tobytes()]
    if device.type == "cuda":
        own.append(torch.cuda.get_rng_state(device).numpy().tobytes())
    return pickle.dumps((own, random.getstate(), np.random.get_state()))


@contextmanager
def random_states_kept(device: torch.device) -> Generator[None]:
    """Let those generators go on after the block as if it had not been."""
    pythons, numpys = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(pythons)
            np.random.set_state(numpys)


def _kept(value: Any) -> list[Tensor]:
    return [each.detach().clone() for each in tensors_in(value)]


def _all_same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(map(same, some, others))
