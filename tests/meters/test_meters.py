"""The meters against what is known."""

import math
import time

import pytest
import torch

from harness.meters.accuracy import agreement
from harness.meters.allocator import allocator_peak
from harness.meters.clock import time_samples
from harness.meters.counters import count_flops
from harness.meters.host import rss_peak_bytes

CPU = torch.device("cpu")


def test_allocator_reads_known_allocations_to_the_byte() -> None:
    def call() -> None:
        kept = torch.empty(1_000_000, dtype=torch.uint8)
        for _ in range(3):
            torch.empty(500_000, dtype=torch.uint8)
        del kept
        torch.empty(1_200_000, dtype=torch.uint8)

    assert allocator_peak(call, CPU).peak_bytes == 1_500_000


def test_allocator_leaves_out_what_was_held_before() -> None:
    before = [torch.empty(4_000_000, dtype=torch.uint8)]

    def call() -> None:
        before.clear()
        torch.empty(1_000_000, dtype=torch.uint8)

    peak = allocator_peak(call, CPU)
    assert peak.peak_bytes == 1_000_000
    assert peak.baseline_bytes is None


def test_resident_memory_grows_by_what_is_touched() -> None:
    size = 200_000_000

    def call() -> None:
        torch.ones(size, dtype=torch.uint8)

    assert rss_peak_bytes(call) == pytest.approx(size, rel=0.05)
    assert rss_peak_bytes(lambda: None) < size / 10


def test_clock_reads_a_known_delay_and_keeps_every_sample() -> None:
    samples = time_samples(lambda: time.sleep(0.02), CPU, min_samples=5, min_seconds=0)
    assert len(samples.wall_seconds) == 5
    assert min(samples.wall_seconds) == pytest.approx(0.02, rel=0.1)
    assert samples.cuda_seconds == []


def test_clock_goes_on_until_the_samples_add_up() -> None:
    samples = time_samples(lambda: time.sleep(0.005), CPU, min_samples=2, min_seconds=0.05)
    assert sum(samples.wall_seconds) >= 0.05
    assert sum(samples.wall_seconds[:-1]) < 0.05


def test_clock_is_bounded() -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1

    time_samples(call, CPU, min_samples=1, min_seconds=60)
    assert calls == 1000


@pytest.mark.parametrize(
    ("call", "flops"),
    [
        (lambda: torch.ones(3, 4) @ torch.ones(4, 5), 2 * 3 * 4 * 5),
        (lambda: torch.ones(3, 4) @ torch.ones(4), 2 * 3 * 4),
        (lambda: torch.addmv(torch.ones(3), torch.ones(3, 4), torch.ones(4)), 2 * 3 * 4),
        (lambda: torch.ones(7).dot(torch.ones(7)), 2 * 7),
        (lambda: torch.conv2d(torch.ones(1, 2, 6, 6), torch.ones(4, 2, 3, 3)), 2 * 4 * 4 * 4 * 2 * 3 * 3),
    ],
)
def test_flops_of_known_products(call: object, flops: int) -> None:
    assert callable(call)
    assert count_flops(call) == flops


def test_agreement_of_known_vectors() -> None:
    def params(*values: float) -> dict[str, torch.Tensor]:
        return {"a": torch.tensor(values[:1]), "b": torch.tensor(values[1:])}

    same = agreement(params(3, 4), params(3, 4))
    assert (same.relative_error, same.cosine, same.norm_ratio) == (0.0, pytest.approx(1.0), 1.0)
    twice = agreement(params(-6, -8), params(3, 4))
    assert (twice.relative_error, twice.cosine, twice.norm_ratio) == (3.0, pytest.approx(-1.0), 2.0)
    assert agreement(params(4, -3), params(3, 4)).cosine == 0.0
    from_zero = agreement(params(0, 0), params(3, 4))
    assert (from_zero.relative_error, from_zero.norm_ratio) == (1.0, 0.0)
    assert math.isnan(from_zero.cosine)
    assert agreement(params(3, 4), params(0, 0)).relative_error == math.inf
    assert agreement(params(0, 0), params(0, 0)).relative_error == 0.0
