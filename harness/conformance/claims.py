"""What the checks are made of."""

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from harness.meters.accuracy import agreement
from harness.pytree import Params


def require(holds: bool, message: str) -> None:
    """Raise ``AssertionError`` unless something holds; unlike ``assert``, under ``python -O`` too."""
    if not holds:
        raise AssertionError(message)


def require_close(found: Params, expected: Params, message: str) -> None:
    """Raise ``AssertionError`` where two gradients differ by more than rounding."""
    error = agreement(found, expected).relative_error
    tolerance = rounding(next(iter(expected.values())).dtype)
    require(error <= tolerance, f"{message}: relative error {error:.1e}")


def rounding(dtype: torch.dtype) -> float:
    """What summing in another order may change."""
    return torch.finfo(dtype).eps ** 0.5


def tensors(tree: Any) -> list[Tensor]:
    """The tensors in nested dicts, lists and tuples, in order."""
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def copied(tree: Any) -> Any:
    """The same structure with its tensors copied."""
    return pytree.tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, tree)


def equal(left: Any, right: Any) -> bool:
    """Whether two structures hold the same tensors, bit for bit."""
    ours, others = tensors(left), tensors(right)
    return len(ours) == len(others) and all(
        one.dtype == other.dtype and torch.equal(one, other) for one, other in zip(ours, others, strict=True)
    )
