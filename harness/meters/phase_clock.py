"""Time of each phase of a call, and of each inner step, in a pass of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeAlias

import torch

from harness.meters.clock import collection_off, timing_event
from harness.phases import listening

Mark: TypeAlias = tuple[str, bool]
"""A phase's name, and whether it was entered or left."""


@dataclass
class PhaseTimes:
    """Where the time of some calls went. Phases may lie within each other; what lies in none is not here."""

    seconds_by_phase: dict[str, list[float]] = field(default_factory=dict)
    """For each phase that any call entered, one entry a call: its total, with all that lies within; 0 where a call did
    not enter it."""
    step_seconds: list[float] = field(default_factory=list)
    """Each step of the inner loop, of all tasks and calls in the order they were taken. A step at which the tolerance
    was met is one too, though it moves nothing; a step rebuilt on the way back is not."""


def phase_times(
    call: Callable[[], object], device: torch.device, repeats: int, now: Callable[[], float] = perf_counter
) -> PhaseTimes:
    """Run ``call`` ``repeats`` times and read the time at every mark it passes.

    On a CPU by the host's clock, ``now``. On CUDA between events recorded on the stream at the marks: the device's
    time, its waiting for the host included. The caller has warmed ``call`` up; what it returns is dropped.
    """
    totals, times = list[dict[str, float]](), PhaseTimes()
    once = _cuda_marks if device.type == "cuda" else _host_marks
    with collection_off():
        for _ in range(repeats):
            marks, seconds = once(call, device, now)
            total, steps = _spans(marks, seconds)
            totals.append(total)
            times.step_seconds += steps
    names = dict.fromkeys(name for total in totals for name in total)
    times.seconds_by_phase = {name: [total.get(name, 0.0) for total in totals] for name in names}
    return times


def _host_marks(
    call: Callable[[], object], device: torch.device, now: Callable[[], float]
) -> tuple[list[Mark], list[float]]:
    """The marks of one call, and when each was passed, seconds."""
    del device
    marks, seconds = list[Mark](), list[float]()

    def listener(name: str, entered: bool) -> None:
        seconds.append(now())
        marks.append((name, entered))

    with listening(listener):
        call()
    return marks, seconds


def _cuda_marks(
    call: Callable[[], object], device: torch.device, now: Callable[[], float]
) -> tuple[list[Mark], list[float]]:
    """As :func:`_host_marks`, in seconds since the call began, with one wait for the device: at the end."""
    del now
    marks, events, stream = list[Mark](), list[torch.cuda.Event](), torch.cuda.current_stream(device)

    def record() -> torch.cuda.Event:
        event = timing_event()
        event.record(stream)
        return event

    def listener(name: str, entered: bool) -> None:
        events.append(record())
        marks.append((name, entered))

    torch.cuda.synchronize(device)
    start = record()
    with listening(listener):
        call()
    torch.cuda.synchronize(device)
    return marks, [start.elapsed_time(event) / 1e3 for event in events]


def _spans(marks: list[Mark], seconds: list[float]) -> tuple[dict[str, float], list[float]]:
    """Each phase's total, and each inner step, of one call; a phase within one of its own name is part of that."""
    totals, steps, open_phases = dict[str, float](), list[float](), list[tuple[str, float]]()
    for (name, entered), time in zip(marks, seconds, strict=True):
        if entered:
            open_phases.append((name, time))
            continue
        _, start = open_phases.pop()
        around = {outer for outer, _ in open_phases}
        if name == "step":
            if "inner" in around:
                steps.append(time - start)
        elif name not in around:
            totals[name] = totals.get(name, 0.0) + time - start
    return totals, steps
