# pyright: reportPrivateUsage=false
"""The parts of PyTorch that forecasts need and that it does not promise to keep, all of them named here.

Importing this looks every one of them up. Where the installed PyTorch lacks one, that is a :class:`BadInput` that says
which: forecasts then have it for their reason, and what is measured is measured without them.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from harness.errors import BadInput

PARTS = {
    "torch._subclasses.fake_tensor.FakeTensor": "tensors that have a shape and no data",
    "torch._subclasses.fake_tensor.FakeTensor.fake_device": "the device such a tensor stands for",
    "torch._subclasses.fake_tensor.FakeTensor.fake_mode": "the mode such a tensor belongs to",
    "torch._subclasses.fake_tensor.FakeTensorMode": "kernels that work on shapes alone",
    "torch._subclasses.fake_tensor.FakeTensorMode.from_tensor": "a tensor without data like one that has some",
    "torch._subclasses.fake_tensor.in_kernel_invocation_manager": "tensors without data made without a kernel",
    "torch.utils._python_dispatch.TorchDispatchMode": "a look at every kernel that is called",
    "torch.utils._python_dispatch._get_current_dispatch_mode": "the mode that kernels work on shapes in",
    "torch.utils._pytree.tree_leaves": "the tensors in a task's data",
    "torch.utils._pytree.tree_map_only": "the same data with other tensors",
    "torch._C._current_graph_task_id": "whether a backward pass is under way",
    "torch._C._storage_Use_Count": "whether anyone else holds a tensor's memory",
    "torch.Tensor._use_count": "whether anyone else holds a tensor",
    "torch.UntypedStorage._cdata": "the memory that is asked about",
    "torch.ops.aten.add.Tensor._schema": "what a kernel takes and returns",
    "torch.ops.aten._local_scalar_dense.default": "a value read back from the device",
    "torch.ops.aten.lift_fresh.default": "a tensor written out in code",
    "torch.ops.aten.lift_fresh_copy.default": "a copy of a tensor written out in code",
    "torch.ops.prim.device.default": "what the engine asks after each node of a graph",
}
"""What each is for."""


def require() -> None:
    """Look every part up.

    Raises:
        BadInput: One is missing; says which, and what it is for.
    """
    for path, purpose in PARTS.items():
        owner: Any = torch
        for name in path.split(".")[1:]:
            owner = _found(owner, name)
            if owner is None:
                raise BadInput(
                    f"torch {torch.__version__} has no {path} ({purpose}), so memory cannot be forecast with it"
                )


def _found(owner: Any, name: str) -> Any:
    """A member, a module not imported yet, or the type of an attribute that only instances have; else ``None``."""
    if hasattr(owner, name):
        return getattr(owner, name)
    try:
        return import_module(f"{owner.__name__}.{name}")
    except (ImportError, AttributeError):
        return getattr(owner, "__annotations__", {}).get(name)


require()

# ruff: noqa: E402  (only now is it known that they are there)
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

__all__ = ["FakeTensor", "FakeTensorMode", "TorchDispatchMode", "pytree"]

VALUE = torch.ops.aten._local_scalar_dense.default
"""A value read back from the device."""
DEVICE = torch.ops.prim.device.default
"""What the engine asks after each node of a graph."""
LIFTS = (torch.ops.aten.lift_fresh.default, torch.ops.aten.lift_fresh_copy.default)
"""How a tensor that is written out in code enters a mode."""


def current_mode() -> FakeTensorMode:
    """The mode that kernels called here work on shapes in."""
    mode = _get_current_dispatch_mode()
    assert isinstance(mode, FakeTensorMode)
    return mode


def fake(
    mode: FakeTensorMode, shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> FakeTensor:
    """A new tensor without data, made without a kernel."""
    with in_kernel_invocation_manager(mode):
        meta = torch.empty_strided(shape, stride, dtype=dtype, device="meta")
    return FakeTensor(mode, meta, device)


def in_backward() -> bool:
    """Whether a backward pass is under way."""
    return torch._C._current_graph_task_id() != -1


def references(tensor: Tensor) -> int:
    """References to the tensor and to its storage, as C++ counts them."""
    storage = tensor.untyped_storage()._cdata
    return torch._C._storage_Use_Count(storage) + tensor._use_count()  # pyright: ignore[reportAttributeAccessIssue]


def returns_views(operator: Any) -> bool:
    """Whether an operator returns its arguments seen in another way, and so holds nothing of its own."""
    return any(r.alias_info is not None and not r.alias_info.is_write for r in operator._schema.returns)


def numbers_among(operator: Any, given: Sequence[Any]) -> list[str]:
    """Names of the arguments that are numbers where the operator takes a tensor: on their way they were made one."""
    if not any(isinstance(each, int | float) for each in given):
        return []
    named = zip(operator._schema.arguments, given, strict=False)
    return [each.name for each, value in named if isinstance(value, int | float) and str(each.type) == "Tensor"]
