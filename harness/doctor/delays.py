"""Calls of a known length."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise
from statistics import median
from typing import TypeAlias

import torch

from harness.doctor.finding import Finding
from harness.meters.clock import Samples, time_samples
from harness.meters.phase_clock import PhaseTimes, phase_times
from harness.phases import phase
from harness.units import quantity

Clock: TypeAlias = Callable[[Callable[[], object], torch.device], Samples]
Phases: TypeAlias = Callable[[Callable[[], object], torch.device, int], PhaseTimes]
Delay: TypeAlias = Callable[[float], float]
"""Takes so many seconds or a little more, and says how many, in truth."""

DELAY_SECONDS = 0.02
PHASE_SECONDS = 0.01
SHORT_SECONDS = 0.001
REPEATS = 9
SHORT_REPEATS = 3
"""Times that the clock is asked for samples of short delays."""
TOLERANCE = 0.02
UNEVEN = 0.05
"""Share of its length by which a delay is longer or shorter than another: the ticks of a coarse clock fit none."""
GOLDEN = 0.618_033_988_749_895
RESOLUTION_SECONDS = 20e-6
"""The coarsest that a clock may be: 2 % of a call of a millisecond."""
ROUNDING_SECONDS = 1e-9
"""Differences of two readings below this may be rounding's."""
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


def uneven(seconds: float) -> Iterator[float]:
    """Lengths about as long as that, of which no two are alike."""
    return (seconds * (1 + UNEVEN * (2 * (index * GOLDEN % 1) - 1)) for index in count())


def known_delay(clock: Clock = few_samples, delay: Delay = hold) -> list[Finding]:
    """The host's clock on delays that another clock has timed from within."""
    truths, lengths = list[float](), uneven(DELAY_SECONDS)
    samples = clock(lambda: truths.append(delay(next(lengths))), _CPU)
    short, lengths_of_short = list[tuple[float, float]](), uneven(SHORT_SECONDS)
    for _ in range(SHORT_REPEATS):
        own: list[float] = []
        measured = clock(lambda own=own: own.append(delay(next(lengths_of_short))), _CPU).wall_seconds
        short += zip(own[-len(measured) :], measured, strict=True)
    return [
        _within("delay by the host's clock", truths, samples.wall_seconds),
        _resolved("resolution of the host's clock", short),
    ]


def known_phases(meter: Phases = phase_times, delay: Delay = hold) -> list[Finding]:
    """The times of phases of unequal length, one of them entered twice, between delays that belong to none."""
    truths, times = _phases(meter, delay, PHASE_SECONDS, REPEATS)
    short, short_times = _phases(meter, delay, SHORT_SECONDS, REPEATS * SHORT_REPEATS)
    return [
        *(_within(f"delay in the phase {name}", truths[name], times.get(name, [0.0])) for name in truths),
        _resolved(
            "resolution of the phases' clock", list(zip(short["inner"], short_times.get("inner", []), strict=False))
        ),
    ]


def _phases(
    meter: Phases, delay: Delay, seconds: float, repeats: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """In truth and as measured, the seconds by phase of calls whose inner phase is about that long."""
    truths: dict[str, list[float]] = {"inner": [], "linear": []}
    lengths = uneven(seconds / 2)

    def call() -> None:
        delay(seconds / 2)
        with phase("inner"):
            truths["inner"].append(delay(2 * next(lengths)))
        with phase("linear"):
            first = delay(next(lengths))
        delay(seconds / 2)
        with phase("linear"):
            truths["linear"].append(first + delay(next(lengths) / 2))

    return truths, meter(call, _CPU, repeats).seconds_by_phase


def known_device_delay(device: torch.device, clock: Clock = few_samples) -> list[Finding]:
    """CUDA events, and the host's clock, on a kernel that does nothing for a known number of the device's cycles.

    How long a cycle is, is timed by another clock over a delay many times longer, before and after.
    """
    name = "delay by CUDA events"
    if device.type != "cuda":
        return [Finding.unavailable(name, quantity(DELAY_SECONDS, "s"), "no CUDA device is meant")]
    _cycle_seconds(device)  # an idle GPU's clock is slow at first
    before = _cycle_seconds(device)
    lengths, cycles = uneven(DELAY_SECONDS), list[int]()

    def sleep() -> None:
        cycles.append(round(next(lengths) / before))
        _sleep(cycles[-1], device)

    samples = clock(sleep, device)
    after = _cycle_seconds(device)
    if abs(after / before - 1) > STEADY:
        reason = f"the GPU's clock moved by {after / before - 1:+.1%} meanwhile: no number of cycles is a known delay"
        return [Finding.unavailable(name, quantity(DELAY_SECONDS, "s"), reason)]
    truths = [each * (before + after) / 2 for each in cycles]
    warm = truths[: len(truths) - len(samples.cuda_cold_seconds)]
    return [
        _within(name, warm, samples.cuda_seconds),
        _within("the same by the host's clock", warm, samples.wall_seconds),
    ]


def _within(name: str, truths: Sequence[float], measured: Sequence[float]) -> Finding:
    """Each reading beside its own truth, the warm-up's left out: on a busy machine delays differ."""
    own = truths[-len(measured) :]
    error = median(reading / truth for reading, truth in zip(measured, own, strict=False)) - 1
    return Finding.within(name, _milliseconds(median(own)), _milliseconds(median(measured)), error, TOLERANCE)


def _resolved(name: str, readings: Sequence[tuple[float, float]]) -> Finding:
    """The least difference of two readings, or how far off they are by turns, whichever is more.

    Args:
        name: What is read.
        readings: Each delay's length and what was read, of lengths that differ by less than is allowed.
    """
    expected, measured = f"at most {quantity(RESOLUTION_SECONDS, 's')}", sorted(each for _, each in readings)
    steps = [later - earlier for earlier, later in pairwise(measured) if later - earlier > ROUNDING_SECONDS]
    if not steps:
        longest = max((truth for truth, _ in readings), default=0.0)
        said = f"none of {len(measured)} readings of delays up to {_milliseconds(longest)} differ"
        return Finding(name, expected, said, "fail")
    errors = [reading - truth for truth, reading in readings]
    usual = median(errors)
    found = max(min(steps), median(abs(error - usual) for error in errors))
    return Finding(name, expected, quantity(found, "s"), "pass" if found <= RESOLUTION_SECONDS else "fail")


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
