"""Checks of clocks, on a time made up: no real delay decides."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from harness.doctor.delays import hold, known_delay, known_device_delay, known_phases, raw_seconds
from harness.doctor.finding import Finding
from harness.meters.clock import Samples, time_samples
from harness.meters.phase_clock import PhaseTimes, phase_times
from harness.units import quantity

Call = Callable[[], object]
CPU = torch.device("cpu")


@dataclass
class Time:
    """A clock that only delays move, each by a little more than it was asked for."""

    seconds: float = 0.0
    overshoots: list[float] = field(default_factory=lambda: [0.0, 0.3, 0.1, 0.6])

    def now(self) -> float:
        return self.seconds

    def delay(self, seconds: float) -> float:
        self.overshoots.append(self.overshoots.pop(0))
        true = seconds * (1 + self.overshoots[0])
        self.seconds += true
        return true

    def clock(self, call: Call, device: torch.device) -> Samples:
        return time_samples(call, device, min_samples=5, min_seconds=0.0, max_seconds=0.0, precision=1.0, now=self.now)

    def phases(self, call: Call, device: torch.device, repeats: int) -> PhaseTimes:
        return phase_times(call, device, repeats, now=self.now)


def verdicts(findings: list[Finding]) -> list[str]:
    return [finding.verdict for finding in findings]


def test_a_known_delay_is_read_back() -> None:
    time = Time()
    finding, resolution = known_delay(time.clock, time.delay)
    assert (finding.verdict, finding.remark) == ("pass", "off by +0.00%, allowed 2%")
    assert finding.expected == finding.measured
    assert (resolution.verdict, resolution.expected) == ("pass", "at most 20.0 µs")
    assert resolution.measured is not None
    assert resolution.measured.endswith((" µs", " ns"))


def test_a_few_interruptions_are_not_the_clocks_fault() -> None:
    time = Time()

    def interrupted(call: Call, device: torch.device) -> Samples:
        seconds = time.clock(call, device).wall_seconds
        return Samples(wall_seconds=[2 * each if index in (0, 4) else each for index, each in enumerate(seconds)])

    assert known_delay(interrupted, time.delay)[0].remark == "off by +0.00%, allowed 2%"


@pytest.mark.parametrize("factor", [1.03, 0.97, 1000.0, 0.5])
def test_a_clock_that_is_three_per_cent_off_fails(factor: float) -> None:
    time = Time()

    def clock(call: Call, device: torch.device) -> Samples:
        return Samples(wall_seconds=[factor * each for each in time.clock(call, device).wall_seconds])

    assert verdicts(known_delay(clock, time.delay))[0] == "fail"


TICKS = [0.015_6, 0.004, 0.001, 0.000_1]


@pytest.mark.parametrize("tick", TICKS)
def test_a_coarse_clock_fails_and_its_tick_is_said(tick: float) -> None:
    """A clock of whole milliseconds reads whole milliseconds: the delays are none."""
    time = Time(overshoots=[0.0])

    def ticking() -> float:
        return math.floor(time.seconds / tick) * tick

    def clock(call: Call, device: torch.device) -> Samples:
        return time_samples(call, device, min_samples=9, min_seconds=0.0, max_seconds=0.0, precision=1.0, now=ticking)

    def phases(call: Call, device: torch.device, repeats: int) -> PhaseTimes:
        return phase_times(call, device, repeats, now=ticking)

    for resolution in (known_delay(clock, time.delay)[-1], known_phases(phases, time.delay)[-1]):
        assert resolution.verdict == "fail"
        assert resolution.measured is not None
        told = resolution.measured.replace(".00", "")
        assert told == quantity(tick, "s") or told.startswith("none of 27 readings of ")


def test_a_coarse_clock_that_trembles_fails_too() -> None:
    time, tremble = Time(overshoots=[0.0]), random.Random(0)

    def ticking() -> float:
        return math.floor(time.seconds / 0.000_1) * 0.000_1 + tremble.uniform(0.0, 1e-6)

    def clock(call: Call, device: torch.device) -> Samples:
        return time_samples(call, device, min_samples=9, min_seconds=0.0, max_seconds=0.0, precision=1.0, now=ticking)

    assert known_delay(clock, time.delay)[-1].verdict == "fail"


@pytest.mark.parametrize("tick", [1e-9, 1e-6, 1e-5])
def test_a_clock_that_is_fine_enough_passes(tick: float) -> None:
    time = Time(overshoots=[0.0])

    def clock(call: Call, device: torch.device) -> Samples:
        return time_samples(
            call,
            device,
            min_samples=9,
            min_seconds=0.0,
            max_seconds=0.0,
            precision=1.0,
            now=lambda: math.floor(time.seconds / tick) * tick,
        )

    assert verdicts(known_delay(clock, time.delay)) == ["pass", "pass"]


def test_this_machine_s_clock_is_fine_enough() -> None:
    assert known_delay()[-1].verdict == known_phases()[-1].verdict == "pass"


def test_a_delay_is_as_long_as_it_says() -> None:
    start = raw_seconds()
    told = hold(0.002)
    assert 0.002 <= told <= raw_seconds() - start


def test_phases_are_read_back() -> None:
    time = Time()
    assert verdicts(known_phases(time.phases, time.delay)) == ["pass", "pass", "pass"]


def test_faulty_phases_fail() -> None:
    time = Time()

    def swapped(call: Call, device: torch.device, repeats: int) -> PhaseTimes:
        seconds = time.phases(call, device, repeats).seconds_by_phase
        return PhaseTimes({"inner": seconds["linear"], "linear": seconds["inner"]})

    def whole(call: Call, device: torch.device, repeats: int) -> PhaseTimes:
        start = time.now()
        found = time.phases(call, device, repeats)
        each = (time.now() - start) / repeats
        return PhaseTimes({name: [each] * repeats for name in found.seconds_by_phase})

    def silent(call: Call, device: torch.device, repeats: int) -> PhaseTimes:
        time.phases(call, device, repeats)
        return PhaseTimes()

    for meter in (swapped, whole, silent):
        assert verdicts(known_phases(meter, time.delay)[:2]) == ["fail", "fail"]


def test_without_a_gpu_its_delay_is_unavailable() -> None:
    [finding] = known_device_delay(CPU)
    assert (finding.verdict, finding.remark) == ("unavailable", "no CUDA device is meant")
