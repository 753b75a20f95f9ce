"""Clocks on a CUDA device: ``make test-gpu``."""

import pytest
import torch

import harness
from harness.meters.clock import time_samples
from harness.meters.phase_clock import phase_times
from harness.phases import phase

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]
DEVICE = torch.device("cuda")
CYCLES = 20_000_000
"""About 10 ms."""


def spin(cycles: int = CYCLES) -> None:
    torch.cuda._sleep(cycles)  # pyright: ignore[reportPrivateUsage]


@pytest.fixture(autouse=True, scope="module")
def _awake() -> None:
    """An idle GPU's clock is slow at first."""
    spin(50 * CYCLES)
    torch.cuda.synchronize()


def test_events_and_wall_time_agree_on_a_known_delay() -> None:
    samples = time_samples(spin, DEVICE, min_samples=5, min_seconds=0, max_seconds=2.0, precision=0.02)
    assert min(samples.cuda_seconds) > 0.004
    for wall, events in zip(samples.wall_seconds, samples.cuda_seconds, strict=True):
        assert events <= wall < events * 1.1 + 1e-3
    assert samples.warmup_seconds
    assert samples.cuda_cold_seconds
    assert sorted(samples.cuda_cold_seconds)[0] == pytest.approx(sorted(samples.cuda_seconds)[0], rel=0.1)


def test_the_flush_writes_more_than_the_cache_holds() -> None:
    l2_bytes = torch.cuda.get_device_properties(DEVICE).L2_cache_size
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    time_samples(lambda: None, DEVICE, min_samples=3, min_seconds=0, max_seconds=0.5, precision=0.5)
    assert torch.cuda.max_memory_allocated() - before >= 2 * l2_bytes > 0
    assert torch.cuda.memory_allocated() == before


def test_reading_what_fits_the_cache_is_slower_after_a_flush() -> None:
    l2_bytes = torch.cuda.get_device_properties(DEVICE).L2_cache_size
    data = torch.ones(l2_bytes // 4 // 4, device=DEVICE)
    out = torch.empty((), device=DEVICE)

    def read() -> None:
        spin(200_000)  # until the host has queued the sum, whose own time is then what differs
        torch.sum(data, dim=0, out=out)

    samples = time_samples(read, DEVICE, min_samples=100, min_seconds=0, max_seconds=5.0, precision=0.01)
    assert len(samples.cuda_cold_seconds) >= 100
    assert sorted(samples.cuda_cold_seconds)[50] > sorted(samples.cuda_seconds)[len(samples.cuda_seconds) // 2]


def test_device_time_is_given_to_the_phase_that_queued_it() -> None:
    def call() -> None:
        with phase("inner"):
            for _ in range(3):
                with phase("step"):
                    spin()
        with phase("linear"):
            spin(2 * CYCLES)

    call()
    times = phase_times(call, DEVICE, 3)
    step = sorted(times.step_seconds)[4]
    assert len(times.step_seconds) == 9
    assert step > 0.004
    assert times.seconds_by_phase["inner"] == pytest.approx([3 * step] * 3, rel=0.1)
    assert times.seconds_by_phase["linear"] == pytest.approx([2 * step] * 3, rel=0.1)


@pytest.mark.parametrize("name", ["maml", "imaml-cg"])
def test_an_estimators_phases_add_up_to_its_event_time(name: str) -> None:
    problem = harness.problem("mlp", width=256, depth=3, device="cuda")
    estimator = harness.estimator(name, steps=8, lr=0.01, lam=1.0)
    tasks, theta = problem.tasks(2, 0), problem.theta()

    def call() -> None:
        estimator.meta_gradients(problem, tasks, theta)

    samples = time_samples(call, DEVICE, min_samples=10, min_seconds=0, max_seconds=2.0, precision=0.02)
    times = phase_times(call, DEVICE, 5)
    total = min(map(sum, zip(*times.seconds_by_phase.values(), strict=True)))
    assert 0.5 * min(samples.cuda_seconds) < total < 1.5 * sorted(samples.cuda_seconds)[len(samples.cuda_seconds) // 2]
    assert len(times.step_seconds) == 5 * 2 * 8
