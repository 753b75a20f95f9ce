"""A test's body run under the allocator's meter, and the verdict on it."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from copy import copy
from functools import partial, wraps
from typing import TypeAlias

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from harness.errors import BadInput
from harness.meters.allocator import allocator_peak, old_garbage_kept
from harness.pytest_plugin.demands import MemoryDemand, is_unittest
from harness.pytest_plugin.record import forget, record
from harness.scaling import EXACT, Law, scaling
from harness.units import quantity

Body: TypeAlias = Callable[[], object]

_measuring = False


@contextmanager
def measured(item: pytest.Item, demand: MemoryDemand) -> Generator[None]:
    """Within, the test's body is run as its memory markers ask.

    The body of a method of ``unittest.TestCase`` is the method alone: what the item runs has ``setUp`` and the like in
    it, which are fixtures.
    """
    if isinstance(item, pytest.Function) and is_unittest(item):
        body: Body = item.obj

        @wraps(body)
        def method() -> None:
            run_measured(item, body, demand)

        item.obj = method
        try:
            yield
        finally:
            item.obj = body
        return
    item.runtest = partial(run_measured, item, item.runtest, demand)
    try:
        yield
    finally:
        vars(item).pop("runtest", None)


def run_measured(item: pytest.Item, body: Body, demand: MemoryDemand) -> None:
    """Run a test's body as its memory markers ask, and fail it where it breaks their word."""
    if demand.steps:
        _run_at_every_k(item, body, demand)
    else:
        _require_limit(item, _peak_of_test(item, body, demand.device), demand, "")


def peak_bytes(call: Body, device: str) -> int:
    """Run ``call`` once and read the peak of the allocator of ``device``, bytes over what was held before.

    Raises:
        BadInput: It is measured already.
        pytest.fail.Exception: ``call`` itself ran torch's profiler, which cannot be nested.
    """
    __tracebackhide__ = True
    global _measuring
    if _measuring:
        raise BadInput("metagrad.peak_bytes: the memory is being measured already, by a marker of the test or a call")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's log lines would land between pytest's
    undisturbed = True

    def watched() -> None:
        nonlocal undisturbed
        call()
        undisturbed = device != "cpu" or torch.autograd._profiler_enabled()  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]

    _measuring = True
    try:
        with old_garbage_kept():
            peak = allocator_peak(watched, torch.device(device)).peak_bytes
    finally:
        _measuring = False
    if not undisturbed:
        pytest.fail("not measured: torch's profiler ran within what was measured, and cannot be nested", pytrace=False)
    return peak


def _run_at_every_k(item: pytest.Item, body: Body, demand: MemoryDemand) -> None:
    assert isinstance(item, pytest.Function)
    peaks: dict[int, int] = {}
    for k in (demand.steps[0], *demand.steps):  # the first run fills caches and is not kept
        forget(item)
        item.funcargs["steps"] = k
        try:
            peaks[k] = peak_bytes(body, demand.device)
        except BaseException as error:
            error.add_note(f"flat_memory: at steps = {k}")
            raise
    found = scaling("peak_bytes", peaks)
    words = f"peak memory on {demand.device} {found.words()}"
    record(item, words, **{f"peak_bytes.steps={k}": peak for k, peak in peaks.items()})
    if found.law is not Law.FLAT:
        _fail(item, f"flat_memory: {words}; flat is within {EXACT.flat:.0%} of the most", _table(peaks))
    if not any(peaks.values()):
        _fail(item, f"flat_memory: the test allocated nothing on {demand.device}", "is it the right device?")
    worst = max(peaks, key=peaks.__getitem__)
    _require_limit(item, peaks[worst], demand, f" at steps = {worst}")


def _require_limit(item: pytest.Item, peak: int, demand: MemoryDemand, at: str) -> None:
    if demand.limit_bytes is None:
        return
    limit = quantity(demand.limit_bytes, "B")
    words = f"peak of {quantity(peak, 'B')} on {demand.device}{at}"
    record(item, f"{words}, {limit} allowed", peak_bytes=peak, peak_bytes_allowed=demand.limit_bytes)
    if peak > demand.limit_bytes:
        _fail(item, f"limit_peak_memory: {words}, {quantity(peak - demand.limit_bytes, 'B')} over the limit of {limit}")


def _peak_of_test(item: pytest.Item, body: Body, device: str) -> int:
    """The body's peak; where pytest-benchmark times the test, that of another run, with a benchmark that only calls."""
    funcargs: dict[str, object] = getattr(item, "funcargs", {})
    benchmark = funcargs.get("benchmark")
    if not isinstance(benchmark, BenchmarkFixture) or benchmark.disabled:
        return peak_bytes(body, device)
    untimed = copy(benchmark)
    body()
    forget(item)
    untimed.disabled, untimed.stats = True, benchmark.stats
    funcargs["benchmark"] = untimed
    try:
        peak = peak_bytes(body, device)
    finally:
        funcargs["benchmark"] = benchmark
    benchmark.extra_info["peak_bytes"] = peak
    return peak


def _table(peaks: dict[int, int]) -> str:
    rows = ((str(k), quantity(peak, "B")) for k, peak in peaks.items())
    return "\n".join(f"{k:>8}  {peak:>10}" for k, peak in [("steps", "peak"), *rows])


def _fail(item: pytest.Item, *lines: str) -> None:
    file, line, _ = item.location
    pytest.fail("\n".join((*lines, f"{file}:{(line or 0) + 1}")), pytrace=False)
