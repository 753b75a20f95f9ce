"""Bytes held by PyTorch's allocator during a call, and after it."""

import gc
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from time import sleep
from typing import Any

import torch
from torch.autograd.profiler import profile

from harness.errors import BadInput

BLOCK_BYTES = {"cpu": 1, "cuda": 512}
"""What an allocation is rounded up to a multiple of, by kind of device."""
SETTLE_SECONDS = 0.005
OUTSIDE = {
    *(f"aten::mkldnn_rnn_layer{end}" for end in ("", "_backward")),
    *("aten::_fft_c2c", "aten::_fft_c2r", "aten::_fft_r2c", "aten::_linalg_svd", "aten::mode", "aten::topk"),
}
"""Kernels that take more than some kilobytes from the system itself, past a CPU's allocator, while they run.

As seen with ``malloc`` counted: oneDNN's LSTM 80 kB a thread, MKL's FFT of a prime length some times its data,
``topk`` 16 bytes a number.
"""


@dataclass(frozen=True)
class AllocatorPeak:
    """Live bytes of tensors, as the allocator of one device counts them, during one call."""

    peak_bytes: int
    """Highest number of live bytes during the call, less those live before it."""
    left_bytes: int
    """Bytes live after the call, its result dropped, less those live before it."""
    baseline_bytes: int | None = None
    """Bytes live before it; ``None`` on a CPU, whose allocator keeps no total."""
    reserved_bytes: int | None = None
    """As ``peak_bytes``, of what the caching allocator took from the device; ``None`` on a CPU."""
    requested_bytes: int | None = None
    """As ``peak_bytes``, before rounding to blocks; ``None`` on a CPU and where the allocator keeps no count."""
    alloc_retries: int | None = None
    """Times the caching allocator had to empty its cache to serve the call; ``None`` as for ``requested_bytes``."""
    outside: tuple[str, ...] = ()
    """Which of :data:`OUTSIDE` the call ran; the bytes are without what they took so."""


@dataclass(frozen=True)
class AllocatorMemory:
    """Memory of a call made several times over."""

    first: AllocatorPeak
    """The first of the calls."""
    retained_bytes: tuple[int, ...]
    """Bytes live after each call, its result dropped and cycles collected, less those live before the first call."""
    collected_bytes: tuple[int, ...]
    """Bytes that only the garbage collector released after each call: tensors in reference cycles."""

    @property
    def leak_bytes_per_call(self) -> int:
        """Growth of the retained bytes over the last call; 0 where a cache filled by the first call just stays."""
        return self.retained_bytes[-1] - self.retained_bytes[-2]


def allocator_memory(call: Callable[[], object], device: torch.device, repeats: int = 2) -> AllocatorMemory:
    """Run ``call`` ``repeats`` (at least 2) times; the peak of the first call and what each leaves behind.

    The calls are alike, so memory that grows with their size is given back after each of them, while a leak is left
    behind by every call. What was garbage before the first call is not collected: it is part of the baseline. On CUDA
    the allocator's cache is emptied before the first call, so that the growth of its reservation is that call's own.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    peaks: list[AllocatorPeak] = []
    collected: list[int] = []
    with old_garbage_kept():
        for _ in range(repeats):
            peaks.append(allocator_peak(call, device))
            collected.append(-allocator_peak(gc.collect, device).left_bytes)
    left = (peak.left_bytes - released for peak, released in zip(peaks, collected, strict=True))
    return AllocatorMemory(peaks[0], tuple(accumulate(left)), tuple(collected))


@contextmanager
def old_garbage_kept() -> Generator[None]:
    """What is garbage by now stays where it is: its release would be taken off the peak.

    Where the process had frozen something before, as a worker what it imported, all stays frozen afterwards.
    """
    had_frozen = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        if not had_frozen:
            gc.unfreeze()


def allocator_peak(call: Callable[[], object], device: torch.device) -> AllocatorPeak:
    """Run ``call`` once and read the allocator's peak over its baseline.

    On CUDA the caching allocator's own counters. On a CPU the profiler's record of every
    allocation and release, summed in order of time: exact to the byte, without rounding to blocks. There, releasing
    what was held before the call does not count, unless it was allocated in an earlier call of this function: what a
    call keeps until the next, as a cache of its own does, is read right from the second on.
    """
    return _cuda_peak(call, device) if device.type == "cuda" else _cpu_peak(call)


def _cuda_peak(call: Callable[[], object], device: torch.device) -> AllocatorPeak:
    settle(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_stats(device)
    with backward_on_this_thread():
        call()
    torch.cuda.synchronize(device)
    after = torch.cuda.memory_stats(device)

    def growth(kind: str, moment: str = "peak") -> int:
        return int(after[f"{kind}_bytes.all.{moment}"] - before[f"{kind}_bytes.all.current"])

    native = torch.cuda.get_allocator_backend() == "native"  # the other one counts neither requests nor retries
    return AllocatorPeak(
        peak_bytes=growth("allocated"),
        left_bytes=growth("allocated", "current"),
        baseline_bytes=int(before["allocated_bytes.all.current"]),
        reserved_bytes=growth("reserved"),
        requested_bytes=growth("requested") if native else None,
        alloc_retries=int(after["num_alloc_retries"] - before["num_alloc_retries"]) if native else None,
    )


def settle(device: torch.device) -> None:
    """Wait until nothing of earlier calls is under way on a CUDA device.

    Autograd's thread lets go of a backward pass a moment after its caller has the result, and needs the interpreter for
    it; what it still held would be part of a baseline, and be released within the call that is measured.
    """
    torch.cuda.synchronize(device)
    sleep(SETTLE_SECONDS)


def backward_on_this_thread() -> torch.autograd.set_multithreading_enabled:
    """Let backward passes within the block release their memory when they end, not when another thread gets to it."""
    return torch.autograd.set_multithreading_enabled(False)


def _cpu_peak(call: Callable[[], object]) -> AllocatorPeak:
    profiler = profile(profile_memory=True)
    with profiler:
        call()
    events = events_of(profiler)
    live = [0, *accumulate(nbytes for _, nbytes in changes(events, torch.device("cpu")))]
    outside = sorted({event.name() for event in events} & OUTSIDE)
    return AllocatorPeak(peak_bytes=max(live), left_bytes=live[-1], outside=tuple(outside))


def events_of(profiler: profile) -> Sequence[Any]:
    """What a profiler recorded, of torch's untyped ``_KinetoEvent``: nothing public tells of every allocation and when.

    Raises:
        BadInput: The installed torch keeps no such record.
    """
    results: Any = getattr(profiler, "kineto_results", None)
    if not hasattr(results, "events"):
        raise BadInput(
            f"torch {torch.__version__} has no torch.autograd.profiler.profile.kineto_results (every allocation and "
            "when it was made), so memory cannot be measured on a CPU with it"
        )
    return results.events()


def changes(events: Iterable[Any], device: torch.device) -> list[tuple[int, int]]:
    """The allocations and releases on ``device`` among a profiler's events (of torch's untyped ``_KinetoEvent``).

    As nanoseconds and bytes, in order of time. A device without an index is any of its kind.
    """
    found = ((event.start_ns(), event.nbytes()) for event in events if _is_memory_of(event, device))
    return sorted(found, key=lambda change: change[0])


def _is_memory_of(event: Any, device: torch.device) -> bool:
    if event.name() != "[memory]" or event.device_type().name.lower() != device.type:
        return False
    return device.type == "cpu" or device.index in (None, event.device_index())
