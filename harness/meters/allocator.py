"""Peak bytes held by PyTorch's allocator during a call."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.autograd.profiler import profile


@dataclass(frozen=True)
class AllocatorPeak:
    """Live bytes of tensors, as the allocator of one device counts them."""

    peak_bytes: int
    """Highest number of live bytes during the call, less those live before it."""
    baseline_bytes: int | None
    """Bytes live before it; ``None`` on a CPU, whose allocator keeps no total."""


def allocator_peak(call: Callable[[], object], device: torch.device) -> AllocatorPeak:
    """Run ``call`` once and read the allocator's peak over its baseline.

    On CUDA the caching allocator's own counter. On a CPU the profiler's record of every allocation and release, summed
    in order of time: exact to the byte, without rounding to blocks. There, releasing what was held before the call
    does not count.
    """
    return _cuda_peak(call, device) if device.type == "cuda" else _cpu_peak(call)


def _cuda_peak(call: Callable[[], object], device: torch.device) -> AllocatorPeak:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    baseline = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return AllocatorPeak(torch.cuda.max_memory_allocated(device) - baseline, baseline)


def _cpu_peak(call: Callable[[], object]) -> AllocatorPeak:
    profiler = profile(profile_memory=True)
    with profiler:
        call()
    assert profiler.kineto_results is not None
    events = sorted(
        (
            (event.start_ns(), event.nbytes())  # pyright: ignore[reportAttributeAccessIssue]  (missing in torch's stub)
            for event in profiler.kineto_results.events()
            if event.name() == "[memory]"
        ),
        key=lambda event: event[0],
    )
    live = peak = 0
    for _, nbytes in events:
        live += nbytes
        peak = max(peak, live)
    return AllocatorPeak(peak, None)
