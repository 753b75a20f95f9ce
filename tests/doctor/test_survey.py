"""What the machine can measure, and what becomes of a meter that raises."""

import subprocess
import sys
from itertools import count

import pytest
import torch

from harness.cell import METRICS
from harness.doctor import survey as rooms
from harness.doctor.bench import attempted
from harness.doctor.finding import Examination, Finding, Quantity
from harness.doctor.survey import clock_step_seconds, survey
from harness.meters.nvml import Nvml
from harness.meters.reading import Reading
from tests.meters.fake_nvml import UUID, FakeNvml, error


def rows(quantities: list[Quantity]) -> dict[str, Quantity]:
    return {quantity.name: quantity for quantity in quantities}


def test_every_metric_is_in_the_survey_once() -> None:
    metrics = [metric for quantity in survey("cpu") for metric in quantity.metrics]
    assert sorted(metrics) == sorted(METRICS)


def test_a_cpu_has_no_gpu_and_says_so() -> None:
    found = rows(survey("cpu"))
    for name in ("time by CUDA events", "energy", "clock of the GPU", "device memory, by the driver"):
        assert found[name].reason == "the device is a CPU"
    for name in ("time by the host's clock", "allocator's peak", "FLOPs", "forecast of the peak"):
        assert found[name].reason is None
    assert found["allocator's requests, retries"].reason == "a CPU's allocator keeps no such counts"


def test_what_the_driver_does_not_give_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml(nvmlDeviceGetTotalEnergyConsumption=error("NOT_SUPPORTED"))
    monkeypatch.setattr(rooms, "open_nvml", lambda device: Nvml(UUID, fake))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_allocator_backend", lambda: "cudaMallocAsync")
    found = rows(survey("cuda:0"))
    assert found["energy"].reason == "NVML: Not Supported"
    assert found["clock of the GPU"].remark == "now 1.98 GHz"
    assert found["device memory, by the driver"].remark == "now 7 kB"
    assert found["allocator's requests, retries"].reason == "the allocator cudaMallocAsync counts neither"
    assert found["allocator's peak"].remark == "to the block of 512 B"
    assert found["throttling and other processes"].reason is None


def test_conditions_that_are_unknown_have_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "governor", lambda: Reading[str](None, "none to be seen"))
    monkeypatch.setattr(rooms, "load_average", lambda: Reading(1.5))
    found = rows(survey("cpu"))
    assert found["frequency governor"].reason == "none to be seen"
    assert found["load average"] == Quantity("load average", ("load_average",), None, "now 1.50")


def test_the_clocks_step_is_the_least_it_makes() -> None:
    ticks = count()
    assert clock_step_seconds(lambda: next(ticks) // 3 * 0.5) == 0.5


def test_a_meter_that_raises_has_failed() -> None:
    def check() -> list[Finding]:
        raise ValueError("first line\nsecond line")

    [finding] = attempted("known energy", check)
    assert (finding.name, finding.verdict, finding.remark) == ("known energy", "fail", "ValueError: first line")
    assert attempted("nothing", list[Finding]) == []


@pytest.mark.parametrize(("last", "passed"), [("pass", True), ("unavailable", True), ("fail", False)])
def test_one_failure_is_enough(last: str, passed: bool) -> None:
    findings = (Finding("a", "1", "1", "pass"), Finding("b", "1", "2", last))  # pyright: ignore[reportArgumentType]
    assert Examination("cpu", "a CPU", (), findings).passed is passed


def test_the_parent_needs_no_torch() -> None:
    code = "import sys, harness.doctor, harness.cli.doctor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
