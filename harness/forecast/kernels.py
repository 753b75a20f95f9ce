"""Memory that a kernel takes while it runs, asked of the kernel itself.

Numbers of floating point are zeros, and square matrices identities, which can be factored. Whole numbers are more
delicate: a kernel takes them for indices, offsets, pivots or the bytes of a workspace (``mkldnn_rnn_layer_backward``,
``_cudnn_rnn_backward``), and where they are not what it expects it may read where there is nothing, which ends the
process. So those that another kernel made are made by that kernel, asked by the same rule; those of the data are zeros,
the first of whatever they index. A kernel whose whole numbers cannot be had so is not asked.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.profiler import profile, record_function

from harness.forecast.live import Kernel, Like, Origin, Sizes, is_whole, tensors
from harness.forecast.torch_private import returns_views
from harness.meters.allocator import allocator_peak, changes, events_of

_MARK = "forecast kernel "

LARGEST_BYTES = 2**29
"""A kernel whose arguments are larger together is not asked: that would cost the time and memory forecasts save."""

Origins: TypeAlias = Mapping[Kernel, tuple[Origin | None, ...]]
"""What made the whole numbers that kernels are given, by position among their tensors."""


@dataclass(frozen=True)
class Taken:
    """Memory that a kernel takes."""

    peak_bytes: int
    """Highest number of bytes it holds beside its arguments, results included."""
    returned: Sizes


_asked: dict[tuple[Kernel, str, int], Taken] = {}


def ask(kernels: Iterable[Kernel], device: torch.device, origins: Origins | None = None) -> dict[Kernel, Taken]:
    """What each kernel takes.

    Each is called once, under the allocator's meter, and remembered by device and thread count. Left out: kernels that
    cannot hold any (views; element-wise ones of one dtype without numbers), those too large to be asked, and those that
    cannot be called on zeros.
    """
    where, threads = str(device), torch.get_num_threads()
    wanted = [kernel for kernel in kernels if takes_memory(kernel) and argument_bytes(kernel) <= LARGEST_BYTES]
    new = [kernel for kernel in wanted if (kernel, where, threads) not in _asked]
    bench = _Bench(device, origins or {})
    found = _on_cuda(new, bench) if device.type == "cuda" else _on_cpu(new, bench)
    _asked.update({(kernel, where, threads): taken for kernel, taken in found.items()})
    return {kernel: _asked[kernel, where, threads] for kernel in wanted if (kernel, where, threads) in _asked}


def takes_memory(kernel: Kernel) -> bool:
    """Whether a kernel may hold memory beside its arguments and results: a number is made a tensor of the device's."""
    if returns_views(kernel.operator):
        return False
    dtypes = {like.dtype for like in likes((kernel.arguments, kernel.keywords))}
    numbers = any(isinstance(each, int | float) for each in kernel.arguments)
    return torch.Tag.pointwise not in kernel.operator.tags or len(dtypes) > 1 or numbers


def argument_bytes(kernel: Kernel) -> int:
    """Bytes of the tensors it is given."""
    return sum(like.nbytes for like in likes((kernel.arguments, kernel.keywords)))


def likes(value: Any) -> list[Like]:
    """The tensors in nested tuples."""
    if isinstance(value, Like):
        return [value]
    return [like for each in value for like in likes(each)] if isinstance(value, tuple) else []


@dataclass
class _Bench:
    """Kernels called for real."""

    device: torch.device
    origins: Origins
    made: dict[Kernel, dict[int, Tensor]] = field(default_factory=dict)
    """Whole numbers that kernels made for others, by position among what they returned."""

    def arguments(self, kernel: Kernel) -> tuple[Any, dict[str, Any]]:
        """Tensors to call the kernel on, for its arguments and its keywords; raises where they cannot be had."""
        places = iter(self.origins.get(kernel, ()))

        def real(value: Any) -> Any:
            if isinstance(value, Like):
                return self._tensor(value, next(places, None))
            return tuple(map(real, value)) if isinstance(value, tuple) else value

        arguments = real(kernel.arguments)  # before the keywords: origins are in this order
        return arguments, {name: real(value) for name, value in kernel.keywords}

    def _tensor(self, like: Like, origin: Origin | None) -> Tensor:
        if origin is None or _leaves_unwritten(origin.kernel):
            return _identity(torch.empty_strided(like.shape, like.stride, dtype=like.dtype, device=self.device))
        made = self._whole_numbers(origin.kernel)[origin.index].clone()  # the kernel may write to it
        return made if like == origin.like else made.as_strided(like.shape, like.stride)

    def _whole_numbers(self, kernel: Kernel) -> dict[int, Tensor]:
        if kernel not in self.made:
            if argument_bytes(kernel) > LARGEST_BYTES:
                raise ValueError(f"{kernel.operator} is too large to be asked")
            arguments, keywords = self.arguments(kernel)
            returned = enumerate(tensors(kernel.operator(*arguments, **keywords)))
            self.made[kernel] = {index: each for index, each in returned if is_whole(each.dtype)}
        return self.made[kernel]


def _identity(tensor: Tensor) -> Tensor:
    """Zeros, with ones on the diagonals of square matrices of what are no whole numbers."""
    tensor.zero_()
    square = tensor.ndim > 1 and tensor.shape[-1] == tensor.shape[-2]
    if square and all(tensor.stride()) and not is_whole(tensor.dtype):
        tensor.diagonal(dim1=-2, dim2=-1).fill_(1)
    return tensor


def _leaves_unwritten(kernel: Kernel) -> bool:
    """Whether it returns memory as it finds it, which is no number to give to another kernel; only its name tells."""
    return "empty" in str(kernel.operator)


def _returned(result: Any, given: Any) -> Sizes:
    """Bytes of what was returned, each memory once, and 0 of what had been given."""
    seen = {tensor.untyped_storage().data_ptr() for tensor in tensors(given)} - {0}
    sizes: list[int] = []
    for tensor in tensors(result):
        storage = tensor.untyped_storage()
        sizes.append(0 if storage.data_ptr() in seen else storage.nbytes())
        seen.add(storage.data_ptr())
    return tuple(sizes)


def _on_cpu(kernels: list[Kernel], bench: _Bench) -> dict[Kernel, Taken]:
    profiler = profile(profile_memory=True)
    returned: dict[int, Sizes] = {}
    with profiler:
        for index, kernel in enumerate(kernels):
            with suppress(Exception):
                arguments, keywords = bench.arguments(kernel)
                with record_function(f"{_MARK}{index}"):
                    result = kernel.operator(*arguments, **keywords)
                returned[index] = _returned(result, (arguments, tuple(keywords.values())))
            arguments = keywords = result = None
    events = events_of(profiler)
    spans = {
        int(event.name().removeprefix(_MARK)): (event.start_ns(), event.start_ns() + event.duration_ns())
        for event in events
        if event.name().startswith(_MARK)
    }
    changed = changes(events, bench.device)
    return {kernels[index]: Taken(_peak(changed, *spans[index]), sizes) for index, sizes in returned.items()}


def _peak(changed: list[tuple[int, int]], start_ns: int, end_ns: int) -> int:
    first = bisect_left(changed, start_ns, key=lambda change: change[0])
    last = bisect_right(changed, end_ns, key=lambda change: change[0])
    return max(accumulate((nbytes for _, nbytes in changed[first:last]), initial=0))


def _on_cuda(kernels: list[Kernel], bench: _Bench) -> dict[Kernel, Taken]:
    found: dict[Kernel, Taken] = {}
    for kernel in kernels:
        with suppress(Exception):
            arguments, keywords = bench.arguments(kernel)
            result = kernel.operator(*arguments, **keywords)  # libraries make their workspaces, and keep them, now
            sizes = _returned(result, (arguments, tuple(keywords.values())))
            del result
            peak = allocator_peak(lambda: kernel.operator(*arguments, **keywords), bench.device).peak_bytes  # noqa: B023
            found[kernel] = Taken(peak, sizes)
    return found
