"""Bytes live at each kernel of a computation that holds no data."""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias
from weakref import ref

import torch
from torch import Tensor

from harness.forecast.torch_private import (
    DEVICE,
    LIFTS,
    VALUE,
    FakeTensor,
    FakeTensorMode,
    TorchDispatchMode,
    current_mode,
    fake,
    in_backward,
    numbers_among,
    pytree,
    references,
)
from harness.meters.allocator import BLOCK_BYTES
from harness.phases import listening, shortened

_aten = torch.ops.aten
_ADD, _ADD_IN_PLACE = _aten.add.Tensor, _aten.add_.Tensor
_WRITTEN_IN_PLACE = {
    _aten.scatter.src: _aten.scatter_.src,
    _aten.scatter_add.default: _aten.scatter_add_.default,
    _aten.index_add.default: _aten.index_add_.default,
}
"""What autograd's formulas (of sort, max, gather, index_select, …) write into zeros of their own, and make anew where
tensors are of a subclass, such as fake ones."""
_ZEROS = {_aten.zeros.default, _aten.new_zeros.default, _aten.zeros_like.default}

ROUNDS = 3
"""Rounds of a loop whose rounds hold the same."""

A_NUMBER = 3.0
"""What stands for a number nobody knows: not 1, which kernels multiply by without holding anything."""
MOST_KERNELS = 1_000_000
"""Most kernels called in a run, some tens of seconds: a loop that waits for a value may never see it."""


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


Sizes: TypeAlias = tuple[int, ...]
"""Bytes of each tensor that a kernel returned; 0 of one in memory that was there before."""


@dataclass(frozen=True)
class Origin:
    """What made a tensor."""

    kernel: Kernel
    index: int
    """Which of the tensors it returned."""
    like: Like
    """That tensor. What is made of it may be a view."""


@dataclass
class Record:
    """What a computation held and where."""

    before: dict[Site, int] = field(default_factory=dict)
    """Most bytes live when the kernel was called."""
    growth: dict[Kernel, int] = field(default_factory=dict)
    """Bytes of the tensors it returned that were not there before."""
    returned: dict[Kernel, Sizes] = field(default_factory=dict)
    origins: dict[Kernel, tuple[Origin | None, ...]] = field(default_factory=dict)
    """What made the kernel's arguments, by position among its tensors; ``None`` for one of the data or of θ, and for
    any but whole numbers."""


class Endless(Exception):
    """A computation without data that does not come to its end."""


@contextmanager
def recording(device_type: str, returned: Mapping[Kernel, Sizes] | None = None) -> Generator[Record]:
    """Record the bytes live at each kernel called within the block; what is there before does not count.

    Args:
        device_type: The kind of device whose memory is meant.
        returned: What kernels are known to return on it. Tensors without data do not tell the size of a workspace that
            one kernel leaves for another.

    Raises:
        Endless: Within the block, once more than :data:`MOST_KERNELS` have been called.

    To be entered within a ``FakeTensorMode``. Nothing has a value there, so a truth that is read back from the device
    is False, a whole number 1 and any other :data:`A_NUMBER`. The harness's own code asks in such a way that no is the
    usual answer: an iteration has not converged, nothing is out of its range, a line search needs no further trial.
    """
    live = _Live(current_mode(), BLOCK_BYTES.get(device_type, 1), returned or {})
    with listening(live.mark), shortened(ROUNDS), live:
        yield live.record


class _Live(TorchDispatchMode):
    def __init__(self, mode: FakeTensorMode, block_bytes: int, returned: Mapping[Kernel, Sizes]) -> None:
        super().__init__()
        self.mode = mode
        self.sole_references = _sole_references()
        self.record = Record()
        self.node_ended = False
        self.block_bytes = block_bytes
        self.returned = returned
        self.live = 0
        self.calls = 0
        self.known: dict[int, Any] = {}
        self.origins: dict[int, Origin] = {}
        self.zeros: int | None = None
        self.numbered: tuple[ref[Tensor], list[str]] | None = None
        self.phases = [""]

    def mark(self, name: str, entered: bool) -> None:
        if entered:
            self.phases.append(name)
        else:
            self.phases.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is DEVICE:
            self.node_ended = True  # the engine asks after each node for the devices of what it returned
            return args[0].fake_device if isinstance(args[0], FakeTensor) else func(*args, **kwargs)
        self._count_call()
        if func is VALUE:
            return False if args[0].dtype == torch.bool else A_NUMBER if args[0].is_floating_point() else 1
        self._know_numbers()
        if func is _ADD and self.node_ended and self._accumulates(args[0]):
            return self._in_place(_ADD_IN_PLACE, func, args)
        self.node_ended = False
        if func in _WRITTEN_IN_PLACE and in_backward() and self.zeros == id(args[0].untyped_storage()):
            return self._in_place(_WRITTEN_IN_PLACE[func], func, args)
        if func not in LIFTS:
            args, kwargs = self._without_data((args, kwargs))
        kernel = Kernel(func, _outline(args), tuple((name, _outline(value)) for name, value in kwargs.items()))
        self._know_arguments(kernel, (args, tuple(kwargs.values())))
        before = self.live
        result = self._result(kernel, args, kwargs)
        self._know_result(kernel, list(tensors(result)))
        self._note(kernel, before, self.live - before)
        self.zeros = id(result.untyped_storage()) if func in _ZEROS else None
        self.numbered = (ref(result), numbers_among(func, args)) if isinstance(result, Tensor) else None
        return result

    def _count_call(self) -> None:
        self.calls += 1
        if self.calls > MOST_KERNELS:
            raise Endless(f"not at its end after {MOST_KERNELS:,} kernels, as where a loop waits for a value")

    def _know_numbers(self) -> None:
        """Count the numbers that autograd has saved, as tensors on the CPU, of those the last kernel was given.

        It does so where no mode sees it; the node of the graph that holds them is there once the kernel has returned.
        """
        if self.numbered is None or self.block_bytes > 1:
            return
        (result, names), self.numbered = self.numbered, None
        node = getattr(result(), "grad_fn", None) if names else None
        for number in (getattr(node, f"_saved_{name}", None) for name in names if node):
            if isinstance(number, Tensor) and not isinstance(number, FakeTensor):
                self._know(number, number.untyped_storage().nbytes())

    def _without_data(self, given: tuple[Any, dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
        """The arguments, with tensors that a part of the computation holds itself, its constants, as fake ones.

        The mode would make them so within the kernel, and views of what it made would pass for new memory.
        """
        if all(isinstance(tensor, FakeTensor) for tensor in tensors((given[0], tuple(given[1].values())))):
            return given
        return pytree.tree_map_only(Tensor, self._hollow, given)

    def _hollow(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, FakeTensor):
            return tensor
        self._know(tensor, 0)
        return self.mode.from_tensor(tensor)

    def _result(self, kernel: Kernel, args: Any, kwargs: Any) -> Any:
        """What the kernel returns. Where it once returned new tensors, more of those, for a seventh of the time."""
        fakes = [tensor for tensor in tensors((args, tuple(kwargs.values()))) if isinstance(tensor, FakeTensor)]
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
        results = list(result) if isinstance(result, tuple) else [result]
        return all(
            isinstance(tensor, FakeTensor)
            and tensor.fake_device == device
            and tensor.untyped_storage().nbytes() == _outline(tensor).nbytes
            and id(tensor.untyped_storage()) not in self.known
            for tensor in results
        ) and len({id(tensor.untyped_storage()) for tensor in results}) == len(results)

    def _note(self, kernel: Kernel, before: int, growth: int) -> None:
        site, record = (self.phases[-1], kernel), self.record
        record.before[site] = max(record.before.get(site, 0), before)
        record.growth[kernel] = max(record.growth.get(kernel, 0), growth)

    def _accumulates(self, first: Any) -> bool:
        """Whether a sum is the engine's own, of cotangents, and it holds the only reference to the first of them."""
        return (
            in_backward()
            and not torch.is_grad_enabled()
            and isinstance(first, Tensor)
            and references(first) <= self.sole_references
        )

    def _in_place(self, operator: Any, func: Any, args: Any) -> Tensor:
        """A result that with data is written into the first argument, as sums of cotangents are.

        The engine does not write into tensors of a subclass, such as fake ones, but makes another. The first is gone
        as soon as this returns.
        """
        kernel = Kernel(operator, tuple(map(_outline, args)), ())
        self._know_arguments(kernel, args)
        self._note(kernel, self.live, 0)
        result: Tensor = func(*args)
        self._know(result, result.untyped_storage().nbytes())
        return result

    def _know_arguments(self, kernel: Kernel, given: Any) -> None:
        for tensor in tensors(given):
            self._know(tensor, 0)
        if kernel not in self.record.origins:
            self.record.origins[kernel] = tuple(self.origins.get(id(t.untyped_storage())) for t in tensors(given))

    def _know_result(self, kernel: Kernel, results: list[Tensor]) -> None:
        """Count what a kernel returned: as large as it is known to be, or else as it seems."""
        known = self.returned.get(kernel, ())
        nbytes = known if len(known) == len(results) else [tensor.untyped_storage().nbytes() for tensor in results]
        new = [self._know(tensor, size) for tensor, size in zip(results, nbytes, strict=True)]
        for index, tensor in enumerate(results):
            if new[index] and is_whole(tensor.dtype):
                self.origins[id(tensor.untyped_storage())] = Origin(kernel, index, _outline(tensor))
        if kernel not in self.record.returned:
            self.record.returned[kernel] = tuple(
                size if is_new else 0 for size, is_new in zip(nbytes, new, strict=True)
            )

    def _know(self, tensor: Tensor, nbytes: int) -> bool:
        """Count so many bytes until the tensor's storage is gone, unless it is known already."""
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self.known:
            return False
        rounded = -(-nbytes // self.block_bytes) * self.block_bytes
        self.live += rounded

        def gone(_: object) -> None:
            self.live -= rounded
            del self.known[key]
            self.origins.pop(key, None)

        self.known[key] = ref(storage, gone)
        return True


_returned: dict[tuple[Kernel, tuple[torch.device, ...]], tuple[Any, torch.device]] = {}
"""What kernels return whose results are new tensors, on a device, by what they are given and where that lies."""


def _new(outline: Any, device: torch.device, mode: FakeTensorMode) -> Any:
    if isinstance(outline, tuple):
        return tuple(_new(each, device, mode) for each in outline)
    return fake(mode, outline.shape, outline.stride, outline.dtype, device)


@cache
def _sole_references() -> int:
    """References to a cotangent that the engine alone holds, as counted in a dispatch mode."""
    counted: list[int] = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is _ADD:
                counted.append(references(args[0]))
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


def is_whole(dtype: torch.dtype) -> bool:
    """Whether it is of whole numbers; a truth value is none."""
    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)


def tensors(value: Any) -> Generator[Tensor]:
    """The tensors in nested lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors(each)
