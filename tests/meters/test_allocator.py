"""The allocator's peaks and what calls leave behind, against allocations that are known."""

import gc
from collections.abc import Callable, Generator
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from harness.meters.allocator import AllocatorPeak, allocator_memory, allocator_peak

CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)


def held(nbytes: int) -> torch.Tensor:
    return torch.empty(nbytes, dtype=torch.uint8)


def works() -> torch.Tensor:
    held(300_000)
    return held(200_000)


def test_known_allocations_are_read_to_the_byte() -> None:
    def call() -> None:
        kept = held(1_000_000)
        for _ in range(3):
            held(500_000)
        del kept
        held(1_200_000)

    assert allocator_peak(call, CPU) == AllocatorPeak(peak_bytes=1_500_000, left_bytes=0)


def test_what_was_held_before_is_left_out() -> None:
    before = [held(4_000_000)]

    def call() -> None:
        before.clear()
        held(1_000_000)

    peak = allocator_peak(call, CPU)
    assert peak.peak_bytes == 1_000_000
    assert peak.baseline_bytes is None


def test_a_result_that_is_dropped_is_not_retained() -> None:
    memory = allocator_memory(works, CPU)
    assert memory.first == allocator_peak(works, CPU)
    assert memory.first.peak_bytes == 300_000
    assert memory.retained_bytes == memory.collected_bytes == (0, 0)
    assert memory.leak_bytes_per_call == 0


def test_calls_are_no_more_than_asked_for() -> None:
    calls: list[int] = []
    allocator_memory(lambda: calls.append(1), CPU)
    assert len(calls) == 2


@pytest.mark.parametrize("steps", [1, 10])
def test_growth_with_the_work_is_no_leak(steps: int) -> None:
    memory = allocator_memory(lambda: [held(1_000) for _ in range(steps)], CPU)
    assert memory.first.peak_bytes == steps * 1_000
    assert memory.leak_bytes_per_call == 0


def test_a_leak_grows_call_by_call() -> None:
    leaked: list[torch.Tensor] = []

    def call() -> None:
        works()
        leaked.append(held(1_000))

    memory = allocator_memory(call, CPU, repeats=3)
    assert memory.retained_bytes == (1_000, 2_000, 3_000)
    assert memory.leak_bytes_per_call == 1_000
    assert memory.first.peak_bytes == 300_000


def test_a_cache_that_the_first_call_fills_is_no_leak() -> None:
    cache: list[torch.Tensor] = []

    def call() -> None:
        cache[:] = cache or [held(1_000)]

    memory = allocator_memory(call, CPU)
    assert memory.retained_bytes == (1_000, 1_000)
    assert memory.leak_bytes_per_call == 0


def test_a_cache_filled_anew_by_every_call_is_no_leak() -> None:
    cache: list[torch.Tensor] = []

    def call() -> None:
        cache[:] = [held(1_000)]

    assert allocator_memory(call, CPU).retained_bytes == (1_000, 1_000)


class Node:
    """Holds 1000 bytes until the garbage collector finds it."""

    def __init__(self) -> None:
        self.tensor, self.cycle = held(1_000), self


@pytest.fixture
def _collector_off() -> Generator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_collector_off")
def test_tensors_in_a_cycle_are_told_apart_from_a_leak() -> None:
    memory = allocator_memory(lambda: Node() and None, CPU)
    assert memory.retained_bytes == (0, 0)
    assert memory.collected_bytes == (1_000, 1_000)


@pytest.mark.usefixtures("_collector_off")
def test_garbage_from_before_is_not_the_calls() -> None:
    assert allocator_peak(lambda: Node() and None, CPU).left_bytes == 1_000
    memory = allocator_memory(works, CPU)
    assert memory.retained_bytes == memory.collected_bytes == (0, 0)


def test_the_collector_is_left_as_it_was() -> None:
    def fails() -> None:
        raise ValueError

    gc.unfreeze()
    for call in (works, fails):
        try:
            allocator_memory(call, CPU)
        except ValueError:
            assert call is fails
        assert gc.get_freeze_count() == 0


def test_what_a_worker_has_frozen_stays_frozen() -> None:
    gc.freeze()
    allocator_memory(works, CPU)
    assert gc.get_freeze_count() > 0


def test_what_a_gpu_allocates_meanwhile_is_not_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Profile(nullcontext[None]):
        """The profiler's record of a call that allocated on both."""

        def __init__(self, **_: object) -> None:
            super().__init__()
            self.kineto_results = SimpleNamespace(events=lambda: [memory("CPU", 700), memory("CUDA", 4_000)])

    def memory(device: str, nbytes: int) -> SimpleNamespace:
        said: dict[str, object] = {"name": "[memory]", "start_ns": 1, "nbytes": nbytes}
        said |= {"device_type": SimpleNamespace(name=device)}
        return SimpleNamespace(**{name: lambda value=value: value for name, value in said.items()})

    monkeypatch.setattr("harness.meters.allocator.profile", Profile)
    assert allocator_peak(works, CPU).peak_bytes == 700


class Allocator:
    """The counters of a CUDA caching allocator with blocks of 512 bytes and segments of 2048."""

    def __init__(self) -> None:
        self.stats = {
            f"{kind}_bytes.all.{moment}": 0
            for kind in ("allocated", "requested", "reserved")
            for moment in ("current", "peak")
        } | {"num_alloc_retries": 3}
        self.allocate(1_000)

    def allocate(self, nbytes: int, sign: int = 1) -> None:
        blocks = -(-nbytes // 512) * 512
        self._grow("allocated", sign * blocks)
        self._grow("requested", sign * nbytes)
        lacking = self.stats["allocated_bytes.all.current"] - self.stats["reserved_bytes.all.current"]
        self._grow("reserved", max(0, -(-lacking // 2048) * 2048))

    def free(self, nbytes: int) -> None:
        self.allocate(nbytes, sign=-1)

    def empty_cache(self) -> None:
        self.stats["reserved_bytes.all.current"] = self.stats["allocated_bytes.all.current"]

    def reset_peaks(self, device: torch.device) -> None:
        for kind in ("allocated", "requested", "reserved"):
            self.stats[f"{kind}_bytes.all.peak"] = self.stats[f"{kind}_bytes.all.current"]

    def _grow(self, kind: str, nbytes: int) -> None:
        current, peak = f"{kind}_bytes.all.current", f"{kind}_bytes.all.peak"
        self.stats[current] += nbytes
        self.stats[peak] = max(self.stats[peak], self.stats[current])


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> Allocator:
    made = Allocator()
    no_device: Callable[[torch.device], None] = lambda device: None  # noqa: E731
    monkeypatch.setattr(torch.cuda, "synchronize", no_device)
    monkeypatch.setattr(torch.cuda, "empty_cache", made.empty_cache)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", made.reset_peaks)
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: dict(made.stats))
    monkeypatch.setattr(torch.cuda, "get_allocator_backend", lambda: "native")
    return made


def test_counters_of_cuda_are_read_over_their_baselines(allocator: Allocator) -> None:
    allocator.allocate(100_000)
    allocator.free(100_000)

    def call() -> None:
        allocator.allocate(4_000)
        allocator.allocate(700)
        allocator.free(4_000)
        allocator.stats["num_alloc_retries"] += 1

    memory = allocator_memory(call, CUDA)
    assert memory.first == AllocatorPeak(
        peak_bytes=8 * 512 + 2 * 512,
        left_bytes=2 * 512,
        baseline_bytes=2 * 512,
        reserved_bytes=3 * 2048,
        requested_bytes=4_700,
        alloc_retries=1,
    )
    assert memory.retained_bytes == (1_024, 2_048)
    assert memory.leak_bytes_per_call == 1_024


def test_what_autograds_thread_lets_go_of_late_is_not_in_the_baseline(
    allocator: Allocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so as soon as the thread that called it sleeps."""
    monkeypatch.setattr("harness.meters.allocator.sleep", lambda seconds: allocator.free(700))
    allocator.allocate(700)

    def call() -> None:
        allocator.allocate(4_000)
        allocator.free(4_000)

    peak = allocator_peak(call, CUDA)
    assert (peak.peak_bytes, peak.left_bytes, peak.baseline_bytes) == (8 * 512, 0, 2 * 512)


def test_a_call_goes_back_on_its_own_thread(allocator: Allocator) -> None:
    seen: list[bool] = []
    allocator_peak(lambda: seen.append(torch._C._is_multithreading_enabled()), CUDA)  # pyright: ignore[reportPrivateUsage]
    assert seen == [False]
    assert torch._C._is_multithreading_enabled()  # pyright: ignore[reportPrivateUsage]


def test_an_allocator_that_does_not_count_has_no_counts(allocator: Allocator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_allocator_backend", lambda: "cudaMallocAsync")
    peak = allocator_peak(lambda: None, CUDA)
    assert (peak.requested_bytes, peak.alloc_retries) == (None, None)
    assert (peak.peak_bytes, peak.reserved_bytes) == (0, 0)
