"""Checks of clocks, on a time made up: no real delay decides."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from harness.doctor.delays import hold, known_delay, known_device_delay, known_phases, raw_seconds
from harness.doctor.finding import Finding
from harness.meters.clock import Samples, time_samples
from harness.meters.phase_clock import PhaseTimes, phase_times

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
    [finding] = known_delay(time.clock, time.delay)
    assert (finding.verdict, finding.remark) == ("pass", "off by +0.00%, allowed 2%")
    assert finding.expected == finding.measured


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

    assert verdicts(known_delay(clock, time.delay)) == ["fail"]


def test_a_delay_is_as_long_as_it_says() -> None:
    start = raw_seconds()
    told = hold(0.002)
    assert 0.002 <= told <= raw_seconds() - start


def test_phases_are_read_back() -> None:
    time = Time()
    assert verdicts(known_phases(time.phases, time.delay)) == ["pass", "pass"]


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
        assert verdicts(known_phases(meter, time.delay)) == ["fail", "fail"]


def test_without_a_gpu_its_delay_is_unavailable() -> None:
    [finding] = known_device_delay(CPU)
    assert (finding.verdict, finding.remark) == ("unavailable", "no CUDA device is meant")
