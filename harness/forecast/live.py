"""Bytes live at each kernel of a computation that holds no data."""

import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias
from weakref import ref

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode,  # pyright: ignore[reportPrivateUsage]  (no public function tells)
)

from harness.phases import listening, shortened

_ADD, _ADD_IN_PLACE = torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor
_DEVICE = torch.ops.prim.device.default
_LIFTS = (torch.ops.aten.lift_fresh.default, torch.ops.aten.lift_fresh_copy.default)
"""How a tensor that is written out in code enters a mode."""

ROUNDS = 3
"""Rounds of a loop whose rounds hold the same."""

A_NUMBER = 3.0
"""What stands for a number nobody knows: not 1, which kernels multiply by without holding anything."""
BLOCK_BYTES = {"cpu": 1, "cuda": 512}
"""What an allocation is rounded up to a multiple of, by kind of device."""


@dataclass(frozen=True)
class Like:
    """A tensor, all but its values."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes from its first to its last element."""
        if 0 in self.shape:
            return 0
        last = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return (last + 1) * self.dtype.itemsize


@dataclass(frozen=True)
class Kernel:
    """One kind of call: an operator with what decides how much memory it takes."""

    operator: Any
    arguments: tuple[Any, ...]
    """Tensors stand as :class:`Like`, lists as tuples."""
    keywords: tuple[tuple[str, Any], ...]


Site: TypeAlias = tuple[str, Kernel]
"""Where memory is held: a phase of the estimator, and a kernel in it."""


@dataclass
class Record:
    """What a computation held and where."""

    before: dict[Site, int] = field(default_factory=dict)
    """Most bytes live when the kernel was called."""
    growth: dict[Kernel, int] = field(default_factory=dict)
    """Bytes of the tensors it returned that were not there before."""


@contextmanager
def recording(device_type: str) -> Generator[Record]:
    """Record the bytes live at each kernel called within the block; what is there before does not count.

    To be entered within a ``FakeTensorMode``. Nothing has a value there, so a truth that is read back from the device
    is False, a whole number 1 and any other :data:`A_NUMBER`. The harness's own code asks in such a way that no is the
    usual answer: an iteration has not converged, nothing is out of its range, a line search needs no further trial.
    """
    mode = _get_current_dispatch_mode()
    assert isinstance(mode, FakeTensorMode)
    live = _Live(mode, BLOCK_BYTES.get(device_type, 1), _sole_references())
    with listening(live.mark), shortened(ROUNDS), live:
        yield live.record


class _Live(TorchDispatchMode):
    def __init__(self, mode: FakeTensorMode, block_bytes: int, sole_references: int) -> None:
        super().__init__()
        self.mode = mode
        self.sole_references = sole_references
        self.record = Record()
        self.node_ended = False
        self.block_bytes = block_bytes
        self.live = 0
        self.known: dict[int, Any] = {}
        self.phases = [""]

    def mark(self, name: str, entered: bool) -> None:
        if entered:
            self.phases.append(name)
        else:
            self.phases.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is _DEVICE:
            self.node_ended = True  # the engine asks after each node for the devices of what it returned
            return args[0].fake_device if isinstance(args[0], FakeTensor) else func(*args, **kwargs)
        if func is torch.ops.aten._local_scalar_dense.default:
            return False if args[0].dtype == torch.bool else A_NUMBER if args[0].is_floating_point() else 1
        if func is _ADD and self.node_ended and self._accumulates(args[0]):
            return self._accumulate(args)
        self.node_ended = False
        if func not in _LIFTS:
            args, kwargs = self._without_data((args, kwargs))
        kernel = Kernel(func, _outline(args), tuple((name, _outline(value)) for name, value in kwargs.items()))
        for tensor in _tensors((args, tuple(kwargs.values()))):
            self._know(tensor, counted=False)
        before = self.live
        result = self._result(kernel, args, kwargs)
        for tensor in _tensors(result):
            self._know(tensor, counted=True)
        self._note(kernel, before, self.live - before)
        return result

    def _without_data(self, given: tuple[Any, dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
        """The arguments, with tensors that a part of the computation holds itself, its constants, as fake ones.

        The mode would make them so within the kernel, and views of what it made would pass for new memory.
        """
        if all(isinstance(tensor, FakeTensor) for tensor in _tensors((given[0], tuple(given[1].values())))):
            return given

        def hollow(tensor: Tensor) -> Tensor:
            return tensor if isinstance(tensor, FakeTensor) else self.mode.from_tensor(tensor)

        return pytree.tree_map_only(Tensor, hollow, given)

    def _result(self, kernel: Kernel, args: Any, kwargs: Any) -> Any:
        """What the kernel returns. Where it once returned new tensors, more of those, for a seventh of the time."""
        fakes = [tensor for tensor in _tensors((args, tuple(kwargs.values()))) if isinstance(tensor, FakeTensor)]
        call = kernel, tuple(tensor.fake_device for tensor in fakes)
        returned = _returned.get(call)
        if returned is not None:
            return _new(*returned, fakes[0].fake_mode)
        result = kernel.operator(*args, **kwargs)
        if fakes and self._is_new(result, fakes[0].fake_device):
            _returned[call] = _outline(result), fakes[0].fake_device
        return result

    def _is_new(self, result: Any, device: torch.device) -> bool:
        """Whether all that was returned are tensors on ``device`` that fill storages of their own."""
        tensors = list(result) if isinstance(result, tuple) else [result]
        return all(
            isinstance(tensor, FakeTensor)
            and tensor.fake_device == device
            and tensor.untyped_storage().nbytes() == _outline(tensor).nbytes
            and id(tensor.untyped_storage()) not in self.known
            for tensor in tensors
        ) and len({id(tensor.untyped_storage()) for tensor in tensors}) == len(tensors)

    def _note(self, kernel: Kernel, before: int, growth: int) -> None:
        site, record = (self.phases[-1], kernel), self.record
        record.before[site] = max(record.before.get(site, 0), before)
        record.growth[kernel] = max(record.growth.get(kernel, 0), growth)

    def _accumulates(self, first: Any) -> bool:
        """Whether a sum is the engine's own, of cotangents, and it holds the only reference to the first of them."""
        return (
            _in_backward()
            and not torch.is_grad_enabled()
            and isinstance(first, Tensor)
            and _references(first) <= self.sole_references
        )

    def _accumulate(self, args: Any) -> Tensor:
        """The sum of two cotangents, as it is with data: in the memory of the first.

        The engine does not write into tensors of a subclass, such as fake ones, but makes a third. The first is gone
        as soon as this returns.
        """
        self._note(Kernel(_ADD_IN_PLACE, tuple(map(_outline, args)), ()), self.live, 0)
        result = _ADD(*args)
        self._know(result, counted=True)
        return result

    def _know(self, tensor: Tensor, *, counted: bool) -> None:
        """Count the tensor's storage until it is gone, unless it has been seen before."""
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self.known:
            return
        nbytes = -(-storage.nbytes() // self.block_bytes) * self.block_bytes if counted else 0
        self.live += nbytes

        def gone(_: object) -> None:
            self.live -= nbytes
            del self.known[key]

        self.known[key] = ref(storage, gone)


_returned: dict[tuple[Kernel, tuple[torch.device, ...]], tuple[Any, torch.device]] = {}
"""What kernels return whose results are new tensors, on a device, by what they are given and where that lies."""


def _new(outline: Any, device: torch.device, mode: FakeTensorMode) -> Any:
    if isinstance(outline, tuple):
        return tuple(_new(each, device, mode) for each in outline)
    with in_kernel_invocation_manager(mode):
        shape = torch.empty_strided(outline.shape, outline.stride, dtype=outline.dtype, device="meta")
    return FakeTensor(mode, shape, device)


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() != -1  # pyright: ignore[reportPrivateUsage]  (no public function tells)


def _references(tensor: Tensor) -> int:
    """References to the tensor and to its storage, as C++ counts them; no public function tells."""
    storage = tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]
    of_tensor = tensor._use_count()  # pyright: ignore[reportAttributeAccessIssue]  (missing in torch's stub)
    return torch._C._storage_Use_Count(storage) + of_tensor  # pyright: ignore[reportPrivateUsage]


@cache
def _sole_references() -> int:
    """References to a cotangent that the engine alone holds, as counted in a dispatch mode."""
    counted: list[int] = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is _ADD:
                counted.append(_references(args[0]))
            return func(*args, **(kwargs or {}))

    with torch.enable_grad():
        x = torch.ones(2, requires_grad=True)
        y = (x.sin() * x.cos()).sum()
        with Counting():
            torch.autograd.grad(y, x)
    return counted[0]


def _outline(value: Any) -> Any:
    if isinstance(value, Tensor):
        return Like(tuple(value.shape), value.stride(), value.dtype)
    if isinstance(value, list | tuple):
        return tuple(map(_outline, value))
    if isinstance(value, float) and math.isnan(value):
        return math.nan  # one that equals itself where it is a part of a tuple
    return None if isinstance(value, torch.Generator) else value


def _tensors(value: Any) -> Generator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
