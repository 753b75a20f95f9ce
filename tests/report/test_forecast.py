from harness.cell import Measurement, Status
from harness.report.forecast import forecast_finding, forecast_line
from harness.report.settings import Setting, settings
from tests.report.synthetic import measurement, run


def forecast(k: int, expected: float, measured: float | None, status: Status = Status.OK) -> Measurement:
    metrics = {"forecast_peak_bytes": [expected]} | ({} if measured is None else {"peak_bytes": [measured]})
    return measurement(steps=k, status=status, metrics=metrics, reason=None if status is Status.OK else "why")


def setting(*measurements: Measurement) -> Setting:
    [only] = settings([run(measurements)])
    return only


def test_the_line_reaches_cells_that_were_not_measured() -> None:
    found = setting(
        forecast(1, 10.0, 10.0), forecast(2, 20.0, None, Status.SKIPPED), forecast(4, 40.0, 9.0, Status.OOM)
    )
    assert forecast_line(found.curves[0]) == {1.0: 10.0, 2.0: 20.0, 4.0: 40.0}


def test_an_exact_forecast_is_said_to_be() -> None:
    assert forecast_finding(setting(forecast(1, 10.0, 10.0), forecast(2, 20.0, 20.0))) == (
        "Peak memory as forecast from fake tensors, before anything was run, is exact to the byte in all 2 cells."
    )


def test_the_worst_error_is_told_with_its_cell() -> None:
    cells = forecast(1, 10.0, 10.0), forecast(2, 20.2, 20.0), forecast(4, 1.0, 100.0, Status.OOM)
    assert forecast_finding(setting(*cells)) == (
        "Peak memory as forecast from fake tensors, before anything was run, is within 1.0 % of the measured in all 2 "
        "cells, at worst MAML at K = 2."
    )


def test_a_forecast_far_off_is_a_warning() -> None:
    sentence = forecast_finding(setting(forecast(1, 15.0, 10.0)))
    assert sentence is not None
    assert sentence.endswith(
        "within 50 % of the measured in the 1 cell, and so not to be relied on: at worst MAML at K = 1."
    )


def test_without_forecasts_there_is_no_finding() -> None:
    assert forecast_finding(setting(measurement(metrics={"peak_bytes": [1.0]}))) is None
