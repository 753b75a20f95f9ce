"""Live bytes of PyTorch's allocator over the time of a call, with the phases it went through."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from harness.files import make_folder
from harness.meters.allocator import backward_on_this_thread, changes, events_of, settle
from harness.phases import listening

CALL = "meta-gradient"
"""Name in the profiler's trace of the whole call."""
PHASE = "phase: "
"""Before the names of phases there."""
MAX_SNAPSHOT_ENTRIES = 200_000
"""Allocations and releases a snapshot holds: the last ones, at some kilobytes each."""

_PROFILE = ".profile.json.gz"
_SNAPSHOT = ".snapshot.pickle"


@dataclass(frozen=True)
class Recording:
    """What was live when. Times are seconds since the call began, on the host's clock."""

    seconds: list[float]
    """When something was allocated or released, ascending; the first is the call's beginning, the last its end."""
    live_bytes: list[int]
    """Live bytes from then on, less those live before the call. On CUDA below 0 where what was held before is released;
    on a CPU such a release does not count."""
    phases: list[tuple[str, float, float]]
    """Name, beginning and end, in the order in which they began; a phase within another comes after it."""


def record_timeline(call: Callable[[], object], device: torch.device, folder: Path, stem: str) -> Recording:
    """Run ``call`` once under torch's profiler, and keep what it and the allocator recorded.

    Writes ``STEM.profile.json.gz``, the profiler's trace (chrome://tracing, Perfetto), and on CUDA also
    ``STEM.snapshot.pickle``, the allocator's history (pytorch.org/memory_viz). Recording stretches the time: it says
    what happens in which order, not how long it takes.

    The bytes are those of every allocation and release that the profiler saw on ``device``: tensors to the byte on a
    CPU, the caching allocator's blocks on CUDA. Their maximum is what :func:`harness.meters.allocator.allocator_peak`
    reads.

    Args:
        call: What to run; what it returns is dropped.
        device: Whose memory is meant.
        folder: Where the files go; created where it is missing.
        stem: Of their names.
    """
    make_folder(folder)
    for ending in (_PROFILE, _SNAPSHOT):
        (folder / f"{stem}{ending}").unlink(missing_ok=True)  # torch would write through a link
    is_cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
    snapshot = _cuda_snapshot(folder / f"{stem}{_SNAPSHOT}") if is_cuda else nullcontext()
    tracing = profile(activities=activities, profile_memory=True)
    if is_cuda:
        settle(device)
    with backward_on_this_thread(), snapshot, tracing as profiler, record_function(CALL), _phases_in_the_trace():
        call()
        if is_cuda:
            torch.cuda.synchronize(device)
    profiler.export_chrome_trace(str(folder / f"{stem}{_PROFILE}"))
    assert profiler.profiler is not None
    return recording(events_of(profiler.profiler), device)


@contextmanager
def _phases_in_the_trace() -> Generator[None]:
    """Make every phase a range of the profiler's, so that phases and allocations are told by one clock."""
    entered: list[record_function] = []

    def mark(name: str, enters: bool) -> None:
        if enters:
            entered.append(record_function(f"{PHASE}{name}").__enter__())
        else:
            entered.pop().__exit__(None, None, None)

    with listening(mark):
        yield


@contextmanager
def _cuda_snapshot(path: Path) -> Generator[None]:
    """Record the allocator's history; it is written even where the call runs out of memory."""
    torch.cuda.memory._record_memory_history(max_entries=MAX_SNAPSHOT_ENTRIES, stacks="python")  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    finally:
        torch.cuda.memory._dump_snapshot(str(path))  # pyright: ignore[reportPrivateUsage]
        torch.cuda.memory._record_memory_history(enabled=None)  # pyright: ignore[reportPrivateUsage]


def recording(events: Sequence[Any], device: torch.device) -> Recording:
    """The timeline of ``device`` in the profiler's events (of torch's untyped ``_KinetoEvent``)."""
    ranges = [event for event in events if event.device_type().name == "CPU"]  # CUDA mirrors them on its streams
    (whole,) = (event for event in ranges if event.name() == CALL)
    begin = whole.start_ns()

    def since(nanoseconds: int) -> float:
        return (nanoseconds - begin) / 1e9

    seconds, live_bytes = [0.0], [0]
    for at, nbytes in changes(events, device):
        seconds.append(since(at))
        live_bytes.append(live_bytes[-1] + nbytes)
    seconds.append(max(since(whole.end_ns()), seconds[-1]))
    live_bytes.append(live_bytes[-1])
    marks = sorted(
        (event for event in ranges if event.name().startswith(PHASE)),
        key=lambda each: (each.start_ns(), -each.end_ns()),
    )
    phases = [(mark.name().removeprefix(PHASE), since(mark.start_ns()), since(mark.end_ns())) for mark in marks]
    return Recording(seconds, live_bytes, phases)
