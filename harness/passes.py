"""The passes over a cell that has been called once: what each measures of the same call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import torch

from harness.cell import Cell
from harness.meters.allocator import allocator_memory, allocator_peak
from harness.meters.clock import time_samples
from harness.meters.conditions import cpu_times, load_average
from harness.meters.energy import call_energy
from harness.meters.gpu_watch import Watch
from harness.meters.nvml import open_nvml
from harness.meters.phase_clock import phase_times
from harness.meters.reading import Reading
from harness.meters.timeline import record_timeline
from harness.statistics import remarks
from harness.timelines import Timeline

Call: TypeAlias = Callable[[], object]
Metrics: TypeAlias = dict[str, list[float]]
"""Samples by name of the metric."""

PHASE_REPEATS = 3
PHASE_SECONDS = 1.0
"""The phases are timed fewer times than that where it would take longer than this."""


@dataclass(frozen=True)
class Found:
    """What a pass found."""

    metrics: Metrics
    notes: dict[str, str] = field(default_factory=dict)
    """By metric: why it has no number, or what is to be known about it."""

    @classmethod
    def of(cls, readings: Mapping[str, Reading[float]], metrics: Metrics | None = None) -> "Found":
        """The readings' values beside ``metrics``, and their reasons."""
        known = {name: [float(each.value)] for name, each in readings.items() if each.value is not None}
        reasons = {name: each.reason for name, each in readings.items() if each.reason is not None}
        return cls({**(metrics or {}), **known}, reasons)


def memory(call: Call, device: torch.device) -> Found:
    """The allocator's peaks, what calls leave behind and, on CUDA, what the driver says meanwhile."""
    nvml = open_nvml(device) if device.type == "cuda" else None
    if nvml:
        torch.cuda.empty_cache()
    before = nvml.device_used_bytes() if nvml else None
    _acquaint(call, device)
    found = allocator_memory(call, device)
    driver: dict[str, Reading[float]] = {}
    if nvml and before:
        driver = {
            "device_bytes": _growth(before, nvml.device_used_bytes()),
            "process_bytes": nvml.process_bytes().then(float),
        }
    counts = {
        "peak_bytes": found.first.peak_bytes,
        "requested_bytes": found.first.requested_bytes,
        "reserved_bytes": found.first.reserved_bytes,
        "baseline_bytes": found.first.baseline_bytes,
        "alloc_retries": found.first.alloc_retries,
    }
    metrics = {name: [float(value)] for name, value in counts.items() if value is not None}
    metrics["retained_bytes"] = [float(each) for each in found.retained_bytes]
    notes = {"peak_bytes": _LESS.format(", ".join(found.first.outside))} if found.first.outside else {}
    told = Found.of(driver, metrics)
    return Found(told.metrics, told.notes | notes)


_LESS = "without what {} take from the system itself while they run; rss_peak_bytes has it"


def _acquaint(call: Call, device: torch.device) -> None:
    """Let a CPU's meter see a call that is not measured: it knows a release only of what it saw allocated.

    Otherwise what the call before kept for this one to replace, such as parameters in a cache, would count on top.
    """
    if device.type == "cpu":
        allocator_peak(call, device)


def _growth(before: Reading[int], after: Reading[int]) -> Reading[float]:
    if before.value is None or after.value is None:
        return Reading(None, before.reason or after.reason)
    return Reading(float(after.value - before.value))


def times(cell: Cell, call: Call, device: torch.device) -> Found:
    """The call timed until its median is known, the machine watched between the samples."""
    watch = Watch(open_nvml(device)) if device.type == "cuda" else None
    load, before = load_average(), cpu_times()
    samples = time_samples(
        call,
        device,
        min_samples=cell.min_samples,
        min_seconds=cell.min_seconds,
        max_seconds=cell.max_seconds,
        precision=cell.precision,
        warm=True,
        watch=watch,
    )
    shares = before.until(cpu_times())
    series = {
        "wall_seconds": samples.wall_seconds,
        "warmup_seconds": samples.warmup_seconds,
        "cuda_seconds": samples.cuda_seconds,
        "cuda_cold_seconds": samples.cuda_cold_seconds,
    }
    conditions = {"load_average": load, "steal_share": shares.steal, "foreign_share": shares.foreign}
    found = Found.of(conditions, {name: values for name, values in series.items() if values})
    notes = {**found.notes, "wall_seconds": "; ".join([_STOPPED[samples.stopped], *remarks(samples.wall_seconds)])}
    if watch is None:
        return Found(found.metrics, notes)
    if not samples.cuda_cold_seconds:
        notes["cuda_cold_seconds"] = "no memory was left to flush the cache with"
    return Found(found.metrics | watch.metrics(), notes | watch.notes())


_STOPPED = {
    "precision": "stopped at the precision asked for",
    "settled": "stopped when more samples no longer changed their spread",
    "bound": "stopped at the bound on time or number",
}


def phases(call: Call, device: torch.device, seconds: float | None) -> Found:
    """Time of each phase and of each inner step.

    Args:
        call: One meta-gradient.
        device: Where it runs.
        seconds: What one call takes, where that is known: a long one is made once.
    """
    repeats = PHASE_REPEATS if seconds is None or PHASE_REPEATS * seconds <= PHASE_SECONDS else 1
    found = phase_times(call, device, repeats)
    metrics = {f"{name.replace(' ', '_')}_seconds": values for name, values in found.seconds_by_phase.items()}
    return Found({**metrics, "step_seconds": found.step_seconds} if found.step_seconds else metrics)


def energy(call: Call, device: torch.device, seconds: float, max_seconds: float) -> Found:
    """The GPU's energy for one call, in windows of many; after all that is timed, which heat would change.

    Args:
        call: One meta-gradient.
        device: A CUDA device.
        seconds: What one call takes.
        max_seconds: What all of it may take.
    """
    nvml = open_nvml(device)
    drawn = call_energy(
        call,
        nvml.energy_joules,
        lambda: torch.cuda.synchronize(device),
        call_seconds=seconds,
        max_seconds=max_seconds,
    )
    return Found.of({"energy_joules": drawn})


def trace(cell: Cell, call: Call, device: torch.device, folder: Path) -> None:
    """Leave the memory timeline of one call in ``folder``, with the profiler's trace and the allocator's history."""
    _acquaint(call, device)
    found = record_timeline(call, device, folder, cell.key)
    Timeline.of(cell, found.seconds, found.live_bytes, found.phases).write(folder, cell.key)
