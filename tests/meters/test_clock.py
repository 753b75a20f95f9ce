"""Scheduling against a clock of its own, and the CUDA path against stand-ins."""

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, cycle, pairwise, repeat
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from harness.meters import clock
from harness.meters.clock import Samples, time_samples
from harness.statistics import median_interval
from harness.statistics.coverage import autoregression

CPU = torch.device("cpu")


@dataclass
class Fake:
    """A clock that only a call, taking the next of ``seconds``, moves on."""

    seconds: Iterator[float]
    time: float = 0.0
    calls: int = field(default=0)

    def now(self) -> float:
        return self.time

    def call(self) -> None:
        self.calls += 1
        self.time += next(self.seconds)

    def sample(self, **changes: Any) -> Samples:
        bounds: dict[str, Any] = {"min_samples": 3, "min_seconds": 0.0, "max_seconds": 1.0, "precision": 0.01}
        return time_samples(self.call, CPU, now=self.now, **bounds | changes)


def noisy(seconds: float, share: float) -> Iterator[float]:
    rng = np.random.default_rng(0)
    while True:
        yield seconds * float(np.exp(share * rng.standard_normal()))


@pytest.mark.parametrize("warm", [False, True])
def test_a_call_of_seconds_is_made_no_more_often_than_it_must(warm: bool) -> None:
    fake = Fake(repeat(2.0))
    samples = fake.sample(warm=warm)
    assert samples.wall_seconds == [2.0] * 3
    assert samples.warmup_seconds == ([] if warm else [2.0])
    assert fake.calls == 3 + (not warm)
    assert samples.stopped == "bound"
    assert samples.cuda_seconds == samples.cuda_cold_seconds == []


def test_a_quick_call_is_warmed_up_though_it_has_run_before() -> None:
    samples = Fake(chain([0.02] * 5, repeat(0.001))).sample(warm=True)
    assert samples.warmup_seconds[:5] == pytest.approx([0.02] * 5)
    assert max(samples.wall_seconds) == pytest.approx(0.001)


def test_warm_up_lasts_until_the_halves_agree() -> None:
    falling = [0.01 * 0.8**index for index in range(20)]
    samples = Fake(chain(falling, repeat(0.0001))).sample()
    assert 20 < len(samples.warmup_seconds) < 40
    assert samples.wall_seconds[0] == pytest.approx(0.0001)
    assert len(Fake(repeat(0.001)).sample().warmup_seconds) == clock.WARMUP_WINDOW


def test_warm_up_ends_amid_noise() -> None:
    assert len(Fake(noisy(0.0001, 1.0)).sample().warmup_seconds) < 30


def test_warm_up_is_bounded_by_its_share_and_by_count() -> None:
    falling = (0.04 * 0.97**index for index in range(10_000))
    samples = Fake(falling).sample(max_seconds=1.0)
    assert 0.25 <= sum(samples.warmup_seconds) < 0.25 + 0.04
    falling = (1e-6 * 0.97**index for index in range(10_000))
    assert len(Fake(falling).sample().warmup_seconds) == clock.WARMUP_CALLS


def test_precision_ends_it() -> None:
    fake = Fake(noisy(0.001, 0.02))
    samples = fake.sample(max_seconds=60.0)
    assert samples.stopped == "precision"
    assert clock.FIRST_CHECK <= len(samples.wall_seconds) < 100
    coarse = Fake(noisy(0.001, 0.02)).sample(max_seconds=60.0, precision=0.1)
    assert len(coarse.wall_seconds) == clock.FIRST_CHECK
    assert fake.calls == len(samples.wall_seconds) + len(samples.warmup_seconds)


def test_samples_too_few_for_the_level_are_never_precise() -> None:
    assert len(Fake(repeat(0.001)).sample(precision=1.0).wall_seconds) == clock.FIRST_CHECK
    fewest = next(count for count in range(1, 100) if median_interval([1.0] * count, clock.LEVEL).level >= clock.LEVEL)
    assert fewest == clock.FIRST_CHECK


def test_times_that_wander_are_sampled_for_longer() -> None:
    """Neighbours that are alike say less: as many samples as of independent times of the same spread do not suffice."""

    def wandering() -> Iterator[float]:
        yield from 0.001 * np.exp(0.02 * autoregression(np.random.default_rng(0), 5_000, 0.8))

    shuffled = cycle(np.random.default_rng(0).permutation(list(wandering())).tolist())
    independent = Fake(iter(shuffled)).sample(max_seconds=60.0)
    wanders = Fake(wandering()).sample(max_seconds=60.0)
    assert independent.stopped == "precision"
    assert len(wanders.wall_seconds) > 2 * len(independent.wall_seconds)


def test_noise_that_has_settled_ends_it() -> None:
    samples = Fake(noisy(0.001, 0.3)).sample(max_seconds=60.0, precision=1e-4)
    assert samples.stopped == "settled"
    assert clock.SETTLED_SAMPLES <= len(samples.wall_seconds) < clock.MAX_SAMPLES


def test_noise_that_goes_on_changing_ends_at_the_most_samples() -> None:
    def growing() -> Iterator[float]:
        for index in range(10_000):
            yield 0.001 * (1 + (-1) ** index * index / 2000)

    samples = Fake(growing()).sample(max_seconds=1e9, precision=1e-9)
    assert samples.stopped == "bound"
    assert len(samples.wall_seconds) == clock.MAX_SAMPLES


def test_time_ends_it() -> None:
    samples = Fake(cycle([0.01, 0.02, 0.04])).sample(max_seconds=1.0, precision=1e-6)
    assert samples.stopped == "bound"
    assert 1.0 <= sum(samples.wall_seconds) + sum(samples.warmup_seconds) < 1.0 + 0.04


def test_it_goes_on_until_samples_and_seconds_suffice() -> None:
    assert len(Fake(repeat(0.1)).sample(min_samples=25).wall_seconds) == 25
    samples = Fake(repeat(0.1)).sample(min_seconds=2.0)
    assert len(samples.wall_seconds) == pytest.approx(20, abs=1)
    assert len(Fake(repeat(1e-6)).sample(min_seconds=60.0).wall_seconds) == clock.MAX_SAMPLES
    assert len(Fake(repeat(1e-6)).sample(min_samples=1200).wall_seconds) == 1200


def test_a_clock_too_coarse_for_the_call_reads_nothing_and_ends() -> None:
    samples = Fake(repeat(0.0)).sample(min_samples=30)
    assert samples.wall_seconds == [0.0] * len(samples.wall_seconds)
    assert Fake(repeat(0.0)).sample(min_samples=3, max_seconds=0.0).wall_seconds == [0.0] * 3


def test_every_sample_is_kept() -> None:
    samples = Fake(chain(repeat(0.001, clock.WARMUP_WINDOW), cycle([0.001, 0.001, 0.5]))).sample(min_samples=9)
    assert samples.wall_seconds == pytest.approx([0.001, 0.001, 0.5] * 3)


@pytest.mark.parametrize("warm", [False, True])
def test_a_watch_is_told_around_every_sample_outside_of_its_time(warm: bool) -> None:
    fake = Fake(repeat(0.3))
    began: list[float] = []
    seen: list[float] = []

    class Watch:
        def before(self) -> None:
            fake.time += 100.0
            began.append(fake.time)

        def after(self) -> None:
            seen.append(fake.time - began[-1])
            fake.time += 100.0

    samples = fake.sample(watch=Watch(), warm=warm)
    assert samples.wall_seconds == pytest.approx([0.3] * 3)
    assert seen == pytest.approx([0.3] * 3)


def test_the_stopping_rule_is_looked_at_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []

    def counted(seconds: list[float], level: float) -> Any:
        checked.append(len(seconds))
        return median_interval(seconds, level)

    monkeypatch.setattr(clock, "median_interval", counted)
    Fake(noisy(0.001, 0.3)).sample(max_seconds=60.0, precision=1e-9)
    assert len(checked) < 20
    assert all(later >= 1.25 * earlier for earlier, later in pairwise(checked[:-1]))


def test_checks_that_take_long_are_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, checked = Fake(noisy(0.001, 0.3)), 0

    def slow(seconds: list[float], level: float) -> Any:
        nonlocal checked
        checked += 1
        fake.time += 1.0
        return median_interval(seconds, level)

    monkeypatch.setattr(clock, "median_interval", slow)
    fake.sample(max_seconds=20.0, precision=1e-9)
    assert checked == 2  # the first, and one at the end: of 20 s the checks may take 0.4


def test_garbage_is_collected_before_and_not_between() -> None:
    was_on: list[bool] = []
    time_samples(
        lambda: was_on.append(gc.isenabled()), CPU, min_samples=3, min_seconds=0, max_seconds=0.0, precision=0.1
    )
    assert not any(was_on)
    assert gc.isenabled()


def test_an_error_leaves_collection_as_it_was() -> None:
    def fail() -> None:
        raise ArithmeticError("out")

    bounds: dict[str, Any] = {"min_samples": 3, "min_seconds": 0.0, "max_seconds": 1.0, "precision": 0.1}
    with pytest.raises(ArithmeticError):
        time_samples(fail, CPU, **bounds)
    assert gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(ArithmeticError):
            time_samples(fail, CPU, **bounds)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_result_is_dropped_before_the_next_call() -> None:
    class Result:
        pass

    last: list[weakref.ref[Result]] = []

    def call() -> Result:
        assert all(each() is None for each in last)
        result = Result()
        last[:] = [weakref.ref(result)]
        return result

    time_samples(call, CPU, min_samples=5, min_seconds=0, max_seconds=0.0, precision=0.1)
    assert last[0]() is None


def test_a_known_delay_is_read() -> None:
    """Between what another clock read within the calls and what it read around them all."""
    truths: list[float] = []

    def call() -> None:
        start = time.perf_counter()
        time.sleep(0.01)
        truths.append(time.perf_counter() - start)

    start = time.perf_counter()
    samples = time_samples(call, CPU, min_samples=5, min_seconds=0, max_seconds=0.3, precision=0.05, warm=True)
    around = time.perf_counter() - start
    within = truths[-len(samples.wall_seconds) :]
    assert all(truth <= read for truth, read in zip(within, samples.wall_seconds, strict=True))
    assert sum(samples.wall_seconds) <= around


@dataclass
class FakeDevice:
    """A device that runs ``seconds`` behind the host, and knows what it was told."""

    fake: Fake
    log: list[str] = field(default_factory=list)
    time: float = 0.0

    def run(self, seconds: float) -> None:
        self.log.append("call")
        self.time = max(self.time, self.fake.time) + seconds

    def synchronize(self, device: torch.device) -> None:
        assert device.type == "cuda"
        self.fake.time = max(self.fake.time, self.time) + 1e-5

    def flush(self) -> None:
        self.log.append("flush")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    fake = FakeDevice(Fake(repeat(0.0)))

    class Event:
        made: ClassVar[int] = 0

        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            assert stream == "stream"
            self.at = max(fake.time, fake.fake.time)

        def elapsed_time(self, later: "Event") -> float:
            return (later.at - self.at) * 1e3

    def flusher(device: torch.device) -> Callable[[], object]:
        return fake.flush

    def current_stream(device: torch.device) -> str:
        return "stream"

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", fake.synchronize)
    monkeypatch.setattr(torch.cuda, "current_stream", current_stream)
    monkeypatch.setattr(clock, "_flusher", flusher)
    return fake


def sample_on(device: FakeDevice, seconds: float, **changes: Any) -> Samples:
    bounds: dict[str, Any] = {
        "min_samples": 3,
        "min_seconds": 0.0,
        "max_seconds": 1.0,
        "precision": 0.01,
        "now": device.fake.now,
    }
    return time_samples(lambda: device.run(seconds), torch.device("cuda"), **bounds | changes)


def test_cuda_is_timed_by_events_and_by_the_host(device: FakeDevice) -> None:
    samples = sample_on(device, 0.001)
    assert samples.cuda_seconds == pytest.approx([0.001] * clock.FIRST_CHECK)
    assert samples.wall_seconds == pytest.approx([0.001 + 1e-5] * clock.FIRST_CHECK)
    assert len(samples.warmup_seconds) == clock.WARMUP_WINDOW


def test_the_cache_is_flushed_before_each_cold_sample_and_no_other(device: FakeDevice) -> None:
    samples = sample_on(device, 0.001)
    assert samples.cuda_cold_seconds == pytest.approx([0.001] * clock.FIRST_CHECK)
    assert device.log == ["call"] * (clock.WARMUP_WINDOW + clock.FIRST_CHECK) + ["flush", "call"] * clock.FIRST_CHECK


def test_cold_samples_are_bounded_by_time(device: FakeDevice) -> None:
    assert len(sample_on(device, 2.0, warm=True).cuda_cold_seconds) == 3
    assert len(sample_on(device, 0.1, precision=1e-9, min_samples=30).cuda_cold_seconds) == 30
    samples = sample_on(device, 0.1, precision=1e-9, min_seconds=3.0)
    assert len(samples.cuda_seconds) >= 29
    assert len(samples.cuda_cold_seconds) == 3


def test_no_room_for_the_flush_leaves_no_cold_samples(device: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(device: torch.device) -> Callable[[], object]:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(clock, "_flusher", full)
    samples = sample_on(device, 0.001)
    assert samples.cuda_seconds
    assert samples.cuda_cold_seconds == []
