"""Checks of operation counts and of energy, with meters that are off."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from harness.doctor import energy
from harness.doctor.energy import CALL_SECONDS, known_energy, waiting_and_working
from harness.doctor.finding import Finding
from harness.doctor.operations import known_flops
from harness.meters.counters import count_flops
from harness.meters.energy import call_energy
from harness.meters.nvml import Nvml
from harness.meters.reading import Reading
from tests.meters.fake_nvml import UUID, Gpu, error

CPU = torch.device("cpu")
Call = Callable[[], object]


def test_known_flops_are_counted_exactly() -> None:
    assert [finding.verdict for finding in known_flops(CPU)] == ["pass"] * 5


@pytest.mark.parametrize(
    "wrong",
    [lambda flops: flops // 2, lambda flops: flops + 1, lambda flops: 24_242, lambda flops: 0],
    ids=["halved", "one more", "always the same", "none"],
)
def test_a_faulty_count_fails(wrong: Callable[[int], int]) -> None:
    findings = known_flops(CPU, lambda call: wrong(count_flops(call)))
    assert "fail" in [finding.verdict for finding in findings]


@dataclass
class Meter:
    """A GPU whose counter is right, and what a meter makes of it."""

    gpu: Gpu = field(default_factory=Gpu)
    wrong: Callable[[float], float | None] = lambda joules: joules

    def work(self) -> None:
        self.gpu.spend(CALL_SECONDS, 300.0)

    def wait(self) -> None:
        self.gpu.spend(CALL_SECONDS, self.gpu.idle_watts)

    def energy(self, call: Call, seconds: float) -> Reading[float]:
        counter = Nvml(UUID, self.gpu).energy_joules
        found = call_energy(
            call, counter, lambda: None, call_seconds=seconds, max_seconds=1e9, now=lambda: self.gpu.seconds
        )
        if found.value is None:
            return found
        value = self.wrong(found.value)
        return Reading(value, None if value is not None else "it gave none")

    def findings(self) -> list[Finding]:
        counter = Nvml(UUID, self.gpu).energy_joules
        return waiting_and_working(counter, self.energy, self.wait, self.work, lambda: self.gpu.seconds)


def test_waiting_draws_what_the_idle_device_does_and_work_more() -> None:
    waited, worked = Meter().findings()
    assert (waited.verdict, waited.expected, waited.measured) == ("pass", "35 J", "35 J")
    assert (worked.verdict, worked.expected, worked.measured) == ("pass", "above 43.8 J", "150 J")


@pytest.mark.parametrize(
    ("wrong", "verdicts"),
    [
        (lambda joules: 0.0, ["fail", "fail"]),
        (lambda joules: joules + 20.0, ["fail", "pass"]),
        (lambda joules: joules / 2, ["fail", "pass"]),
        (lambda joules: 35.0, ["pass", "fail"]),
        (lambda joules: None, ["unavailable", "unavailable"]),
    ],
    ids=["nothing", "offset", "half", "always the same", "none"],
)
def test_a_faulty_energy_meter_fails(wrong: Callable[[float], float | None], verdicts: list[str]) -> None:
    assert [finding.verdict for finding in Meter(wrong=wrong).findings()] == verdicts


def test_an_idle_device_that_cools_down_tells_nothing() -> None:
    meter = Meter()

    def cooling(call: Call, seconds: float) -> Reading[float]:
        found = meter.energy(call, seconds)
        meter.gpu.idle_watts = 20.0
        return found

    counter = Nvml(UUID, meter.gpu).energy_joules
    [waited, _] = waiting_and_working(counter, cooling, meter.wait, meter.work, lambda: meter.gpu.seconds)
    assert waited.verdict == "unavailable"
    assert waited.remark is not None
    assert waited.remark.startswith("what the idle GPU draws moved from 10 J to 35 J")


def test_energy_is_unavailable_without_a_counter_that_moves() -> None:
    [finding] = known_energy(CPU)
    assert (finding.verdict, finding.measured) == ("unavailable", None)
    [silent] = Meter(Gpu(tell=lambda joules: error("NOT_SUPPORTED"))).findings()
    assert (silent.verdict, silent.remark) == ("unavailable", "NVML: Not Supported")
    [stuck] = Meter(Gpu(tell=lambda joules: 7_000)).findings()
    assert (stuck.verdict, stuck.remark) == ("unavailable", "the energy counter did not move twice in 2 s")


def test_the_harness_own_meter_is_what_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def measured(call: Call, counter: object, synchronize: object, **bounds: float) -> Reading[float]:
        seen.append(bounds["call_seconds"])
        return Reading(35.0)

    gpu = Gpu()
    monkeypatch.setattr(energy, "open_nvml", lambda device: Nvml(UUID, gpu))
    monkeypatch.setattr(energy, "_products", lambda device: gpu.call)
    monkeypatch.setattr(energy, "call_energy", measured)
    known_energy(torch.device("cuda"))
    assert seen == [CALL_SECONDS, CALL_SECONDS]
