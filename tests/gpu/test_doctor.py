"""The doctor's checks on a CUDA device: ``make test-gpu``."""

import pytest
import torch

from harness.doctor import examine
from harness.doctor.allocations import known_allocations, planted_leaks
from harness.doctor.delays import few_samples, known_device_delay
from harness.doctor.energy import known_energy
from harness.doctor.operations import known_flops
from harness.meters.clock import Samples

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]


def test_what_is_exact_is_exact_on_the_device() -> None:
    device = torch.device("cuda:0")
    findings = [*known_allocations(device), *planted_leaks(device), *known_flops(device)]
    assert [finding for finding in findings if finding.verdict != "pass"] == []


def test_a_known_delay_of_the_device() -> None:
    findings = known_device_delay(torch.device("cuda:0"))
    assert [finding for finding in findings if finding.verdict == "fail"] == []


def test_events_that_are_three_per_cent_off_do_not_pass() -> None:
    def clock(call: object, device: torch.device) -> Samples:
        assert callable(call)
        samples = few_samples(call, device)
        return Samples(wall_seconds=samples.wall_seconds, cuda_seconds=[1.04 * each for each in samples.cuda_seconds])

    assert known_device_delay(torch.device("cuda:0"), clock)[0].verdict != "pass"


def test_energy_is_read_or_said_not_to_be() -> None:
    for finding in known_energy(torch.device("cuda:0")):
        assert finding.verdict == "pass" or (finding.verdict == "unavailable" and finding.remark)


def test_a_whole_examination() -> None:
    found = examine("cuda", runs=5)
    assert found.device == "cuda:0"
    assert [finding for finding in found.findings if finding.verdict == "fail"] == []
    reasons = {quantity.name: quantity.reason for quantity in found.quantities}
    assert reasons["time by CUDA events"] is None
    assert reasons["allocator's baseline, reservation"] is None
