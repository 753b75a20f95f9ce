"""Time of a call, repeated until the samples say enough."""

import gc
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal, Protocol, TypeAlias

import numpy as np
import torch

from harness.statistics import mad, median_interval

Stopped: TypeAlias = Literal["precision", "settled", "bound"]
"""Why sampling ended: the median is known; more samples no longer change the noise; time or count ran out."""

MAX_SAMPLES = 1000
LEVEL = 0.95
"""Of the median's interval that is held against the precision."""
WARMUP_SHARE = 0.25
"""Share of the time allowed after which warm-up ends, whatever it has shown."""
WARMUP_CALLS = 100
WARMUP_WINDOW = 10
"""Latest calls whose two halves must agree."""
AGREEMENT = 0.02
"""Difference of the halves' medians, as a share, that always counts as agreement."""
FIRST_CHECK = 22
"""Samples at which the stopping rule is first checked: fewer, whose neighbours may be alike, have no interval of that
level."""
CHECK_GROWTH = 1.25
"""Factor by which the samples grow from one check of the stopping rule to the next."""
CHECK_SHARE = 0.02
"""Most of the time that the checks may take."""
SETTLED_SAMPLES, SETTLED_CHECKS, SETTLED_CHANGE = 50, 4, 0.05
"""Fewest samples whose noise can have settled; latest checks, and the most that their MADs may differ."""


@dataclass
class Samples:
    """Every timed repetition, in order, outliers included."""

    wall_seconds: list[float] = field(default_factory=list)
    """Host clock from a synchronised device to a synchronised device."""
    cuda_seconds: list[float] = field(default_factory=list)
    """Between two events recorded on the stream, of the same calls; empty without CUDA."""
    cuda_cold_seconds: list[float] = field(default_factory=list)
    """The same of further calls, each after the L2 cache was flushed; without CUDA, or room to flush it, empty."""
    warmup_seconds: list[float] = field(default_factory=list)
    """Host clock, of the calls before, in none of the others."""
    stopped: Stopped = "bound"


class SampleWatch(Protocol):
    """Someone who looks at the device around every sample."""

    def before(self) -> None:
        """A sample is about to begin; told again where it did not become one."""
        ...

    def after(self) -> None:
        """It has ended."""
        ...


def time_samples(
    call: Callable[[], object],
    device: torch.device,
    *,
    min_samples: int,
    min_seconds: float,
    max_seconds: float,
    precision: float,
    warm: bool = False,
    watch: SampleWatch | None = None,
    now: Callable[[], float] = perf_counter,
) -> Samples:
    """Warm ``call`` up, then time it until its median is known.

    Warm-up ends once the medians of two halves of the latest calls agree. Garbage collection is off meanwhile; what a
    call returns is dropped before the next begins, and no sample is.

    Args:
        call: What is timed.
        device: Where it runs.
        min_samples: Samples to be taken in any case.
        min_seconds: What the samples must add up to in any case, but for 1000 samples.
        max_seconds: When to stop, the warm-up included; only the two bounds above go beyond it. On CUDA the samples
            with a cold cache take up to a quarter of it more, or ``min_samples`` calls.
        precision: Half-width of the median's 95 % interval, as a share of the median, that is enough.
        warm: Whether ``call`` has run already: where a first call uses up the warm-up's share, it is then a sample.
        watch: Told before and after each sample of ``wall_seconds``, outside of the time measured.
        now: The clock, seconds.
    """
    began, samples = now(), Samples()
    with collection_off():
        if watch is not None:
            watch.before()  # the first call of the warm-up may turn out to be a sample
        _warm_up(call, device, samples, WARMUP_SHARE * max_seconds, warm, now)
        if samples.wall_seconds and watch is not None:
            watch.after()
        rule = _StoppingRule(min_samples, min_seconds, began + max_seconds, precision, now)
        while (stopped := rule.reached(samples.wall_seconds)) is None:
            if watch is not None:
                watch.before()
            _take(call, device, samples, now)
            if watch is not None:
                watch.after()
        samples.stopped = stopped
        if device.type == "cuda":
            _take_cold(call, device, samples, min_samples, now() + WARMUP_SHARE * max_seconds, now)
    return samples


@contextmanager
def collection_off() -> Generator[None]:
    """Collect garbage, then none until the block ends."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _warm_up(
    call: Callable[[], object],
    device: torch.device,
    samples: Samples,
    seconds: float,
    warm: bool,
    now: Callable[[], float],
) -> None:
    until, warmup = now() + seconds, Samples()
    while len(warmup.wall_seconds) < WARMUP_CALLS and not _halves_agree(warmup.wall_seconds[-WARMUP_WINDOW:]):
        _take(call, device, warmup, now)
        if now() >= until:
            break
    if warm and len(warmup.wall_seconds) == 1:
        samples.wall_seconds, samples.cuda_seconds = warmup.wall_seconds, warmup.cuda_seconds
    else:
        samples.warmup_seconds = warmup.wall_seconds


def _halves_agree(latest: list[float]) -> bool:
    """Whether the medians of both halves differ by no more than noise does, or by too little to matter."""
    if len(latest) < WARMUP_WINDOW:
        return False
    middle = len(latest) // 2
    first, last = float(np.median(latest[:middle])), float(np.median(latest[middle:]))
    return abs(first - last) <= max(mad(latest), AGREEMENT * last)


class _StoppingRule:
    """When to stop, asked after every sample; what costs something is looked at seldom, and never for long."""

    def __init__(
        self, min_samples: int, min_seconds: float, deadline: float, precision: float, now: Callable[[], float]
    ) -> None:
        self._min_samples, self._min_seconds, self._precision = min_samples, min_seconds, precision
        self._began, self._deadline, self._now = now(), deadline, now
        self._count, self._total = 0, 0.0
        self._next_check, self._checking_seconds, self._spreads = FIRST_CHECK, 0.0, list[float]()

    def reached(self, seconds: list[float]) -> Stopped | None:
        self._total += sum(seconds[self._count :])
        self._count = count = len(seconds)
        full = count >= MAX_SAMPLES
        if count < self._min_samples or (not full and self._total < self._min_seconds):
            return None
        time = self._now()
        if full or time >= self._deadline:
            return self._judge(seconds) or "bound"
        if count < self._next_check or self._checking_seconds > CHECK_SHARE * (time - self._began):
            return None
        self._next_check = math.ceil(CHECK_GROWTH * count)
        judged = self._judge(seconds)
        self._checking_seconds += self._now() - time
        return judged

    def _judge(self, seconds: list[float]) -> Stopped | None:
        interval, median = median_interval(seconds, LEVEL), float(np.median(seconds))
        if interval.level >= LEVEL and interval.half_width <= self._precision * median:
            return "precision"
        self._spreads.append(mad(seconds) / median if median else 0.0)  # a coarse clock may read nothing
        latest = self._spreads[-SETTLED_CHECKS:]
        steady = len(latest) == SETTLED_CHECKS and max(latest) <= (1 + SETTLED_CHANGE) * min(latest)
        return "settled" if steady and len(seconds) >= SETTLED_SAMPLES else None


def _take(call: Callable[[], object], device: torch.device, samples: Samples, now: Callable[[], float]) -> None:
    if device.type != "cuda":
        start = now()
        call()
        samples.wall_seconds.append(now() - start)
        return
    stream, first, last = torch.cuda.current_stream(device), timing_event(), timing_event()
    torch.cuda.synchronize(device)
    start = now()
    first.record(stream)
    call()
    last.record(stream)
    torch.cuda.synchronize(device)
    samples.wall_seconds.append(now() - start)
    samples.cuda_seconds.append(first.elapsed_time(last) / 1e3)


def timing_event() -> torch.cuda.Event:
    """An event that can be read for the time."""
    return torch.cuda.Event(enable_timing=True)


def _take_cold(
    call: Callable[[], object],
    device: torch.device,
    samples: Samples,
    min_samples: int,
    until: float,
    now: Callable[[], float],
) -> None:
    """As many samples as there are with a warm cache, or as the time allows; none where memory does not suffice."""
    cold = Samples()
    with suppress(torch.OutOfMemoryError):
        flush = _flusher(device)
        while len(cold.cuda_seconds) < len(samples.cuda_seconds) and (
            len(cold.cuda_seconds) < min_samples or now() < until
        ):
            flush()
            _take(call, device, cold, now)
    samples.cuda_cold_seconds = cold.cuda_seconds


def _flusher(device: torch.device) -> Callable[[], object]:
    """What pushes everything out of the L2 cache: a write of twice its size."""
    l2_bytes = torch.cuda.get_device_properties(device).L2_cache_size
    return torch.empty(2 * l2_bytes, dtype=torch.uint8, device=device).zero_
