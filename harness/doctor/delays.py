"""Calls of a known length."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeAlias

import torch

from harness.doctor.finding import Finding
from harness.meters.clock import Samples, time_samples
from harness.meters.phase_clock import PhaseTimes, phase_times
from harness.phases import phase
from harness.units import quantity

Clock: TypeAlias = Callable[[Callable[[], object], torch.device], Samples]
Delay: TypeAlias = Callable[[float], float]
"""Takes so many seconds or a little more, and says how many, in truth."""

DELAY_SECONDS = 0.02
PHASE_SECONDS = 0.005
REPEATS = 9
TOLERANCE = 0.02
CALIBRATION_SECONDS = 0.3
STEADY = 0.01
"""Change of the GPU's clock, as a share, up to which a number of its cycles is a known delay."""
_CPU = torch.device("cpu")


def few_samples(call: Callable[[], object], device: torch.device) -> Samples:
    """The harness's clock at its fewest."""
    return time_samples(call, device, min_samples=REPEATS, min_seconds=0.0, max_seconds=0.0, precision=1.0)


def raw_seconds() -> float:
    """A clock other than the one tested: the hardware's, which nothing corrects, where the system has it."""
    raw = getattr(time, "CLOCK_MONOTONIC_RAW", None)
    return time.monotonic() if raw is None else time.clock_gettime(raw)


def hold(seconds: float) -> float:
    """Return after ``seconds``, half of them asleep and half busy, or a little later; how long that was, in truth."""
    start = raw_seconds()
    time.sleep(seconds / 2)
    while raw_seconds() - start < seconds:
        pass
    return raw_seconds() - start


def known_delay(clock: Clock = few_samples, delay: Delay = hold) -> list[Finding]:
    """The host's clock on a delay that another clock has timed from within."""
    truths: list[float] = []
    samples = clock(lambda: truths.append(delay(DELAY_SECONDS)), _CPU)
    return [_within("delay by the host's clock", truths, samples.wall_seconds)]


def known_phases(
    meter: Callable[[Callable[[], object], torch.device, int], PhaseTimes] = phase_times, delay: Delay = hold
) -> list[Finding]:
    """The times of phases of unequal length, one of them entered twice, between delays that belong to none."""
    truths: dict[str, list[float]] = {"inner": [], "linear": []}

    def call() -> None:
        delay(PHASE_SECONDS)
        with phase("inner"):
            truths["inner"].append(delay(2 * PHASE_SECONDS))
        with phase("linear"):
            first = delay(PHASE_SECONDS)
        delay(PHASE_SECONDS)
        with phase("linear"):
            truths["linear"].append(first + delay(PHASE_SECONDS / 2))

    times = meter(call, _CPU, REPEATS).seconds_by_phase
    return [_within(f"delay in the phase {name}", truths[name], times.get(name, [0.0])) for name in truths]


def known_device_delay(device: torch.device, clock: Clock = few_samples) -> list[Finding]:
    """CUDA events, and the host's clock, on a kernel that does nothing for a known number of the device's cycles.

    How long a cycle is, is timed by another clock over a delay many times longer, before and after.
    """
    name = "delay by CUDA events"
    if device.type != "cuda":
        return [Finding.unavailable(name, quantity(DELAY_SECONDS, "s"), "no CUDA device is meant")]
    _cycle_seconds(device)  # an idle GPU's clock is slow at first
    before = _cycle_seconds(device)
    cycles = round(DELAY_SECONDS / before)
    samples = clock(lambda: _sleep(cycles, device), device)
    after = _cycle_seconds(device)
    if abs(after / before - 1) > STEADY:
        reason = f"the GPU's clock moved by {after / before - 1:+.1%} meanwhile: no number of cycles is a known delay"
        return [Finding.unavailable(name, quantity(DELAY_SECONDS, "s"), reason)]
    truths = [cycles * (before + after) / 2] * len(samples.wall_seconds)
    return [
        _within(name, truths, samples.cuda_seconds),
        _within("the same by the host's clock", truths, samples.wall_seconds),
    ]


def _within(name: str, truths: Sequence[float], measured: Sequence[float]) -> Finding:
    """Each reading beside its own truth, the warm-up's left out: on a busy machine delays differ."""
    own = truths[-len(measured) :]
    error = median(reading / truth for reading, truth in zip(measured, own, strict=False)) - 1
    return Finding.within(name, _milliseconds(median(own)), _milliseconds(median(measured)), error, TOLERANCE)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"


def _sleep(cycles: int, device: torch.device) -> None:
    with torch.cuda.device(device):
        torch.cuda._sleep(cycles)  # pyright: ignore[reportPrivateUsage]


def _cycle_seconds(device: torch.device, first_guess_hertz: float = 1.5e9) -> float:
    cycles = round(CALIBRATION_SECONDS * first_guess_hertz)
    torch.cuda.synchronize(device)
    start = raw_seconds()
    _sleep(cycles, device)
    torch.cuda.synchronize(device)
    return (raw_seconds() - start) / cycles
