"""Whole cells: found alike and as forecast, or said not to be."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.cell import Cell, Measurement, Status
from harness.doctor.cells import forecast_peak, repeated
from harness.forecast import Forecast

METRICS = {"peak_bytes": [1000.0], "flops": [12.0], "implicit_cosine": [float("nan")]}


def measured(*metrics: dict[str, list[float]], status: Status = Status.OK) -> Callable[[Cell], Measurement]:
    """Measures one cell after another as told."""
    said = iter(metrics)

    def measure(cell: Cell) -> Measurement:
        fields: dict[str, Any] = {"reason": None if status is Status.OK else "no luck", "started_at": "now"}
        return Measurement(key=cell.key, cell=cell, status=status, metrics=next(said), **fields)

    return measure


def test_metrics_that_are_alike_pass() -> None:
    [finding] = repeated("cpu", measured(METRICS, METRICS | {"implicit_cosine": [float("nan")]}))
    assert (finding.verdict, finding.measured) == ("pass", "3 of 3")


@pytest.mark.parametrize(
    "second",
    [METRICS | {"flops": [13.0]}, METRICS | {"peak_bytes": [1000.0000000000001]}, METRICS | {"hvp_count": [0.0]}],
    ids=["another number", "another last bit", "another metric"],
)
def test_metrics_that_differ_fail_and_are_named(second: dict[str, list[float]]) -> None:
    [finding] = repeated("cpu", measured(METRICS, second))
    [name] = [name for name in second if repr(second[name]) != repr(METRICS.get(name))]
    assert (finding.verdict, finding.remark) == ("fail", f"different: {name}")


def test_metrics_that_need_not_be_alike_may_differ() -> None:
    [finding] = repeated("cpu", measured(METRICS | {"wall_seconds": [1.0]}, METRICS | {"wall_seconds": [2.0]}))
    assert finding.verdict == "pass"


def test_a_cell_that_cannot_be_measured_fails() -> None:
    [finding] = repeated("cpu", measured(METRICS, METRICS, status=Status.CRASH))
    assert (finding.verdict, finding.remark) == ("fail", "crash: no luck")
    [finding] = forecast_peak("cpu", measured(METRICS, status=Status.OOM), told(1000))
    assert (finding.verdict, finding.remark) == ("fail", "oom: no luck")


def told(peak_bytes: int | None, reason: str | None = None) -> Callable[[Sequence[Cell]], list[Forecast]]:
    return lambda cells: [Forecast(peak_bytes=peak_bytes, reason=reason) for _ in cells]


@pytest.mark.parametrize(("peak", "verdict"), [(1000, "pass"), (1009, "pass"), (1030, "fail"), (970, "fail")])
def test_a_forecast_is_held_to_one_per_cent(peak: int, verdict: str) -> None:
    [finding] = forecast_peak("cpu", measured(METRICS), told(peak))
    assert (finding.verdict, finding.expected, finding.measured) == (verdict, "1,000 B", f"{peak:,} B")


@pytest.mark.parametrize(("peak", "verdict"), [(1030, "pass"), (910, "pass"), (890, "fail")])
def test_on_a_gpu_to_ten(peak: int, verdict: str) -> None:
    [finding] = forecast_peak("cuda:0", measured(METRICS), told(peak))
    assert finding.verdict == verdict


def test_no_forecast_is_unavailable() -> None:
    [finding] = forecast_peak("cpu", measured(METRICS), told(None, "it takes a while"))
    assert (finding.verdict, finding.remark) == ("unavailable", "it takes a while")
