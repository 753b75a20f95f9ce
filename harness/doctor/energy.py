"""Calls that draw no energy, and one that does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch

from harness.doctor.finding import Finding
from harness.meters.gpu_watch import Watch
from harness.meters.nvml import Nvml, open_nvml
from harness.meters.reading import Reading

Meter: TypeAlias = Callable[[Callable[[], object], int], Reading[float]]
"""Mean energy, in joules, of a call made so many times."""

NULL, WORK = "energy of calls that do nothing", "energy of half a second's work"
NULL_CALLS = 20
WORK_SECONDS = 0.5
WATCHED_SECONDS, STEPS_SEEN = 1.0, 5
STEPS_ALLOWED = 2
"""Steps of the counter that all of the null calls together may see: it moves in steps, whoever draws."""


def known_energy(device: torch.device) -> list[Finding]:
    """The counter of a GPU on nothing at all and on half a second of products."""
    if device.type != "cuda":
        return [Finding.unavailable(NULL, "0 J", "energy is read from NVIDIA's GPUs, and the device is a CPU")]
    nvml = open_nvml(device)
    return energy_null(nvml.energy_joules, lambda call, calls: _watched(nvml, device, call, calls), _products(device))


def energy_null(
    counter: Callable[[], Reading[float]],
    meter: Meter,
    work: Callable[[], object],
    now: Callable[[], float] = time.monotonic,
) -> list[Finding]:
    """Nothing reads as nothing, to the counter's step and what the device draws unasked; work reads as more.

    Args:
        counter: The energy counter itself, watched while nothing is done.
        meter: What is tested.
        work: Draws energy.
        now: The clock, seconds.
    """
    idle = idle_draw(counter, now)
    if idle.value is None:
        return [Finding.unavailable(NULL, "0 J", idle.reason or "")]
    start = now()
    null = meter(lambda: None, NULL_CALLS)
    allowed = STEPS_ALLOWED * idle.value.step_joules + idle.value.watts * (now() - start)
    worked = meter(work, 1).value or 0.0
    total = NULL_CALLS * (null.value or 0.0)
    remark = f"in {NULL_CALLS} calls; {allowed:.3g} J allowed: the counter's steps, and what an idle device draws"
    return [
        Finding(NULL, "0 J", f"{total:.3g} J", "pass" if total <= allowed else "fail", remark),
        Finding(WORK, f"above {allowed:.3g} J", f"{worked:.3g} J", "pass" if worked > allowed else "fail"),
    ]


@dataclass(frozen=True)
class Idle:
    """An energy counter while nothing is done."""

    step_joules: float
    """The largest step seen."""
    watts: float


def idle_draw(counter: Callable[[], Reading[float]], now: Callable[[], float] = time.monotonic) -> Reading[Idle]:
    """The counter's first steps, watched for at most :data:`WATCHED_SECONDS`."""
    start = now()
    seen = [(start, counter())]
    while len(seen) <= STEPS_SEEN and seen[-1][1].value is not None and now() - start < WATCHED_SECONDS:
        reading = counter()
        if reading != seen[-1][1]:
            seen.append((now(), reading))
    values = [reading.value for _, reading in seen if reading.value is not None]
    if len(values) < len(seen):
        return Reading(None, seen[-1][1].reason)
    if len(values) == 1:
        return Reading(None, f"the energy counter did not move for {WATCHED_SECONDS:g} s")
    step = max(later - earlier for earlier, later in pairwise(values))
    return Reading(Idle(step, (values[-1] - values[0]) / (seen[-1][0] - start)))


def _watched(nvml: Nvml, device: torch.device, call: Callable[[], object], calls: int) -> Reading[float]:
    watch = Watch(nvml)
    for _ in range(calls):
        watch.before()
        call()
        torch.cuda.synchronize(device)
        watch.after()
    name = "energy_joules"
    [value] = watch.metrics().get(name, [None])
    return Reading(value, watch.notes().get(name))


def _products(device: torch.device) -> Callable[[], object]:
    matrix = torch.full((2048, 2048), 1 / 2048, device=device)

    def call() -> None:
        end = time.monotonic() + WORK_SECONDS
        while time.monotonic() < end:
            torch.mm(matrix, matrix)
            torch.cuda.synchronize(device)

    return call
