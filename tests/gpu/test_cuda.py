"""What only a CUDA device can show: ``make test-gpu``."""

from typing import Any

import pytest
import torch

from harness.cell import Cell, Part, Status
from harness.executors import LocalExecutor
from harness.machine import describe
from harness.meters.allocator import allocator_peak
from harness.meters.clock import time_samples

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]


def test_known_allocations_are_read_to_the_block() -> None:
    device = torch.device("cuda")
    held = torch.empty(1 << 20, dtype=torch.uint8, device=device)

    def call() -> None:
        kept = torch.empty(3_000_000, dtype=torch.uint8, device=device)
        torch.empty(1_000_000, dtype=torch.uint8, device=device)
        del kept

    peak = allocator_peak(call, device)
    assert 0 <= peak.peak_bytes - 4_000_000 < 2 * 512
    assert peak.baseline_bytes is not None
    assert peak.baseline_bytes >= held.numel()


def test_a_known_delay_is_read_by_events_and_by_wall() -> None:
    def call() -> None:
        torch.cuda._sleep(50_000_000)  # pyright: ignore[reportPrivateUsage]  (cycles)

    call()
    samples = time_samples(call, torch.device("cuda"), min_samples=5, min_seconds=0, max_seconds=0, precision=1.0)
    assert min(samples.cuda_seconds) > 0.01
    for wall, events in zip(samples.wall_seconds, samples.cuda_seconds, strict=True):
        assert events <= wall < events * 1.1 + 1e-3


def cell(**changes: Any) -> Cell:
    fields: dict[str, Any] = {
        "problem": Part(name="mlp", parameters={"width": 1024, "depth": 4, "shots": 4096}),
        "estimator": Part(name="maml", parameters={"lr": 1e-4}),
        "label": "MAML",
        "steps": 2,
        "device": "cuda:0",
        "measure": ("memory", "counters", "time"),
    }
    return Cell(**fields | changes)


def test_running_out_of_memory_is_a_status_and_the_next_cell_runs() -> None:
    executor = LocalExecutor()
    free_before = torch.cuda.mem_get_info()[0]
    executor.ready()
    failed = executor.measure(cell(steps=20_000))
    assert failed.status is Status.OOM, failed.reason
    assert torch.cuda.mem_get_info()[0] >= free_before - (64 << 20)
    worked = executor.measure(cell())
    assert worked.status is Status.OK, worked.reason
    assert worked.metrics["cuda_seconds"]
    assert worked.metrics["baseline_bytes"][0] > 0
    assert torch.cuda.mem_get_info()[0] >= free_before - (64 << 20)


def test_the_fork_server_never_touched_cuda() -> None:
    """A child of a process that did cannot use it, and that is not what ``is_initialized`` says."""
    assert LocalExecutor().ask("torch.cuda:_is_in_bad_fork") is False


def test_the_device_is_described() -> None:
    machine = describe("cuda", None)
    assert machine.device == "cuda:0"
    assert machine.device_name == torch.cuda.get_device_name(0)
    assert machine.device_memory_bytes
    assert machine.device_uuid
