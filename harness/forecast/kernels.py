"""Memory that a kernel takes while it runs, asked of the kernel itself."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from contextlib import suppress
from itertools import accumulate
from typing import Any

import torch
from torch.autograd.profiler import profile, record_function

from harness.forecast.live import Kernel, Like
from harness.meters.allocator import allocator_peak, changes

_MARK = "forecast kernel "

LARGEST_BYTES = 2**29
"""A kernel whose arguments are larger together is not asked: that would cost the time and memory forecasts save."""

_asked: dict[tuple[Kernel, str, int], int] = {}


def ask(kernels: Iterable[Kernel], device: torch.device) -> dict[Kernel, int]:
    """Highest number of bytes each kernel holds beside its arguments, results included.

    Each is called once, on tensors of zeros, under the allocator's meter, and remembered by device and thread count.
    Left out: kernels that cannot hold any (views; element-wise ones of one dtype without numbers), those too large to
    be asked, and those that fail on zeros.
    """
    where, threads = str(device), torch.get_num_threads()
    wanted = [kernel for kernel in kernels if takes_memory(kernel) and argument_bytes(kernel) <= LARGEST_BYTES]
    new = [kernel for kernel in wanted if (kernel, where, threads) not in _asked]
    measure = _on_cuda if device.type == "cuda" else _on_cpu
    _asked.update({(kernel, where, threads): peak for kernel, peak in measure(new, device).items()})
    return {kernel: _asked[kernel, where, threads] for kernel in wanted if (kernel, where, threads) in _asked}


def takes_memory(kernel: Kernel) -> bool:
    """Whether a kernel may hold memory beside its arguments and results: a number is made a tensor of the device's."""
    if any(r.alias_info is not None and not r.alias_info.is_write for r in kernel.operator._schema.returns):
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


def _on_cpu(kernels: list[Kernel], device: torch.device) -> dict[Kernel, int]:
    profiler = profile(profile_memory=True)
    with profiler:
        for index, kernel in enumerate(kernels):
            arguments, keywords = _real(kernel.arguments, device), _keywords(kernel, device)
            with suppress(Exception), record_function(f"{_MARK}{index}"):
                kernel.operator(*arguments, **keywords)
    assert profiler.kineto_results is not None
    events: list[Any] = profiler.kineto_results.events()
    spans = {
        int(event.name().removeprefix(_MARK)): (event.start_ns(), event.start_ns() + event.duration_ns())
        for event in events
        if event.name().startswith(_MARK)
    }
    changed = changes(events, device)
    return {kernels[index]: _peak(changed, *span) for index, span in spans.items()}


def _peak(changed: list[tuple[int, int]], start_ns: int, end_ns: int) -> int:
    first = bisect_left(changed, start_ns, key=lambda change: change[0])
    last = bisect_right(changed, end_ns, key=lambda change: change[0])
    return max(accumulate((nbytes for _, nbytes in changed[first:last]), initial=0))


def _on_cuda(kernels: list[Kernel], device: torch.device) -> dict[Kernel, int]:
    peaks: dict[Kernel, int] = {}
    for kernel in kernels:
        arguments, keywords = _real(kernel.arguments, device), _keywords(kernel, device)
        with suppress(Exception):
            kernel.operator(*arguments, **keywords)  # libraries make their workspaces, and keep them, at a first call
            peaks[kernel] = allocator_peak(lambda: kernel.operator(*arguments, **keywords), device).peak_bytes  # noqa: B023
    return peaks


def _keywords(kernel: Kernel, device: torch.device) -> dict[str, Any]:
    return {name: _real(value, device) for name, value in kernel.keywords}


def _real(value: Any, device: torch.device) -> Any:
    if isinstance(value, Like):
        return torch.empty_strided(value.shape, value.stride, dtype=value.dtype, device=device).zero_()
    return tuple(_real(each, device) for each in value) if isinstance(value, tuple) else value
