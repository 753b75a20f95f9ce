"""Checks of operation counts and of energy, with meters that are off."""

from collections.abc import Callable

import pytest
import torch

from harness.doctor import energy
from harness.doctor.energy import NULL_CALLS, STEPS_SEEN, energy_null, idle_draw, known_energy
from harness.doctor.finding import Finding
from harness.doctor.operations import known_flops
from harness.meters.counters import count_flops
from harness.meters.nvml import Nvml
from harness.meters.reading import Reading
from tests.meters.fake_nvml import UUID, FakeNvml

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


class Counter:
    """An energy counter, a reading every 10 ms and a step of 2 J every third: 67 W."""

    def __init__(self, answer: Reading[float] | None = None) -> None:
        self.answer = answer
        self.seconds = 0.0

    def __call__(self) -> Reading[float]:
        self.seconds += 0.01
        return self.answer or Reading(2.0 * (round(self.seconds * 100) // 3))

    def now(self) -> float:
        return self.seconds

    def findings(self, null: float | None, work: float, null_seconds: float = 0.0) -> list[Finding]:
        """Of a meter that reads so much of a null call and of work."""

        def meter(call: Call, calls: int) -> Reading[float]:
            self.seconds += null_seconds
            return Reading(null if calls == NULL_CALLS else work)

        return energy_null(self, meter, lambda: None, self.now)


def test_the_idle_draw_is_what_the_counter_says() -> None:
    counter = Counter()
    idle = idle_draw(counter, counter.now).value
    assert idle is not None
    assert idle.step_joules == 2.0
    assert idle.watts == pytest.approx(67, rel=0.25)


@pytest.mark.parametrize("null", [None, 0.0, 2 * 2.0 / NULL_CALLS])
def test_nothing_draws_nothing_and_work_something(null: float | None) -> None:
    findings = Counter().findings(null, work=50.0)
    assert [finding.verdict for finding in findings] == ["pass", "pass"]


def test_nothing_may_draw_what_idleness_does() -> None:
    assert Counter().findings(1.0, work=500.0)[0].verdict == "fail"
    assert Counter().findings(1.0, work=500.0, null_seconds=0.5)[0].verdict == "pass"


@pytest.mark.parametrize(
    ("null", "work", "failing"), [(1.0, 50.0, 0), (0.0, 0.0, 1), (0.0, 4.0, 1)], ids=["offset", "stuck", "too little"]
)
def test_a_faulty_energy_meter_fails(null: float, work: float, failing: int) -> None:
    findings = Counter().findings(null, work)
    assert [finding.verdict == "fail" for finding in findings] == [failing == 0, failing == 1]


def test_energy_is_unavailable_without_a_counter_that_moves() -> None:
    [finding] = known_energy(CPU)
    assert (finding.verdict, finding.measured) == ("unavailable", None)
    [silent] = Counter(Reading(None, "NVML: Not Supported")).findings(0.0, 50.0)
    assert (silent.verdict, silent.remark) == ("unavailable", "NVML: Not Supported")
    [stuck] = Counter(Reading(7.0)).findings(0.0, 50.0)
    assert (stuck.verdict, stuck.remark) == ("unavailable", "the energy counter did not move for 1 s")


class Drawing(FakeNvml):
    """A GPU that draws a little at first, and then only at work."""

    def __init__(self) -> None:
        super().__init__()
        self.reads, self.millijoules = 0, 0

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: str) -> int:  # noqa: N802
        self.reads += 1
        self.millijoules += 2_000 * (self.reads <= 1 + STEPS_SEEN)
        return self.millijoules

    def work(self) -> None:
        self.millijoules += 10**15


def test_the_harness_own_watch_is_what_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Drawing()
    monkeypatch.setattr(energy, "open_nvml", lambda device: Nvml(UUID, gpu))
    monkeypatch.setattr(energy, "_products", lambda device: gpu.work)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    findings = known_energy(torch.device("cuda"))
    assert [finding.verdict for finding in findings] == ["pass", "pass"]
    assert [finding.measured for finding in findings] == ["0 J", "1e+12 J"]
