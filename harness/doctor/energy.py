"""Calls that only wait, and one that works: what an energy meter makes of them."""

import time
from collections.abc import Callable
from typing import TypeAlias

import torch

from harness.doctor.finding import Finding
from harness.meters.energy import call_energy
from harness.meters.nvml import open_nvml
from harness.meters.reading import Reading

Meter: TypeAlias = Callable[[Callable[[], object], float], Reading[float]]
"""Energy, in joules, of a call that takes so many seconds."""

WAIT, WORK = "energy of calls that only wait", "energy of half a second's work"
CALL_SECONDS = 0.5
WATCHED_SECONDS, MOVES_SEEN = 2.0, 10
STEADY = 0.25
"""Change of what the idle device draws, as a share, up to which a wait is a known energy, and the meter's error."""


def known_energy(device: torch.device) -> list[Finding]:
    """The energy meter on a GPU that waits, and on half a second of products."""
    if device.type != "cuda":
        return [Finding.unavailable(WAIT, "", "energy is read from NVIDIA's GPUs, and the device is a CPU")]
    counter = open_nvml(device).energy_joules

    def meter(call: Callable[[], object], seconds: float) -> Reading[float]:
        return call_energy(
            call,
            counter,
            lambda: torch.cuda.synchronize(device),
            call_seconds=seconds,
            max_seconds=float("inf"),
        )

    return waiting_and_working(counter, meter, lambda: time.sleep(CALL_SECONDS), _products(device))


def waiting_and_working(
    counter: Callable[[], Reading[float]],
    meter: Meter,
    wait: Callable[[], object],
    work: Callable[[], object],
    now: Callable[[], float] = time.monotonic,
) -> list[Finding]:
    """Waiting reads as what the idle device draws meanwhile, and work as more.

    Args:
        counter: The energy counter itself, watched while nothing is done, before and after.
        meter: What is tested.
        wait: Takes :data:`CALL_SECONDS`, and leaves the device alone.
        work: Takes as long, and does not.
        now: The clock, seconds.
    """
    before = idle_watts(counter, now)
    if before.value is None:
        return [Finding.unavailable(WAIT, "", before.reason or "")]
    waited = meter(wait, CALL_SECONDS)
    after = idle_watts(counter, now)
    worked = meter(work, CALL_SECONDS)
    draws = [each.value for each in (before, after) if each.value is not None]
    least, most = CALL_SECONDS * min(draws), CALL_SECONDS * max(draws)
    return [_waited(waited, least, most), _worked(worked, most)]


def _waited(found: Reading[float], least: float, most: float) -> Finding:
    expected = _joules((least + most) / 2)
    if most > (1 + STEADY) * least:
        reason = f"what the idle GPU draws moved from {_joules(least)} to {_joules(most)} in half a second"
        return Finding.unavailable(WAIT, expected, reason)
    if found.value is None:
        return Finding.unavailable(WAIT, expected, found.reason or "")
    error = found.value / ((least + most) / 2) - 1
    return Finding.within(WAIT, expected, _joules(found.value), error, STEADY)


def _worked(found: Reading[float], idle: float) -> Finding:
    expected = f"above {_joules((1 + STEADY) * idle)}"
    if found.value is None:
        return Finding.unavailable(WORK, expected, found.reason or "")
    verdict = "pass" if found.value > (1 + STEADY) * idle else "fail"
    return Finding(WORK, expected, _joules(found.value), verdict)


def idle_watts(counter: Callable[[], Reading[float]], now: Callable[[], float] = time.monotonic) -> Reading[float]:
    """What the idle device draws, by the counter's first moves, watched for at most :data:`WATCHED_SECONDS`."""
    start = now()
    seen = [(start, counter())]
    while len(seen) <= MOVES_SEEN and seen[-1][1].value is not None and now() - start < WATCHED_SECONDS:
        reading = counter()
        if reading != seen[-1][1]:
            seen.append((now(), reading))
    values = [reading.value for _, reading in seen if reading.value is not None]
    if len(values) < len(seen):
        return Reading(None, seen[-1][1].reason)
    if len(values) < 3:
        return Reading(None, f"the energy counter did not move twice in {WATCHED_SECONDS:g} s")
    return Reading((values[-1] - values[1]) / (seen[-1][0] - seen[1][0]))


def _joules(value: float) -> str:
    return f"{value:.3g} J"


def _products(device: torch.device) -> Callable[[], object]:
    matrix = torch.full((2048, 2048), 1 / 2048, device=device)

    def call() -> None:
        end = time.monotonic() + CALL_SECONDS
        while time.monotonic() < end:
            torch.mm(matrix, matrix)
            torch.cuda.synchronize(device)

    return call
