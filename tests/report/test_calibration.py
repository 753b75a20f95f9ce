from typing import Any

from harness.cell import Measurement, Status
from harness.report.calibration import calibration_chart, calibration_table, pairs
from harness.report.settings import settings
from harness.report.style import styles
from tests.report.synthetic import measurement, run


def cell(steps: int, forecast: float, measured: float, label: str = "MAML", **about: Any) -> Measurement:
    return measurement(
        label, steps, estimator="maml", metrics={"forecast_peak_bytes": [forecast], "peak_bytes": [measured]}, **about
    )


def test_forecasts_stand_over_what_was_measured() -> None:
    found = settings([run([cell(1, 1e6, 1e6), cell(2, 3e6, 2e6)])])
    chart = calibration_chart(found, styles(found))
    assert chart is not None
    line, marks = chart.traces
    assert line["x"] == line["y"] == [1, 2]
    assert (marks["x"], marks["y"]) == ([1, 2], [1, 3])
    assert "forecast 3 MB, measured 2 MB<br>relative error 50 %" in marks["hovertext"][1]


def test_the_table_names_the_worst() -> None:
    table = calibration_table(settings([run([cell(1, 1e6, 1e6), cell(2, 1e6, 2e6), cell(4, 1.1e6, 1e6)])]))
    assert table is not None
    (row,) = table.rows
    assert row.texts[:3] == ["MAML", "3", "10 %"]
    assert row.texts[3].startswith("-50 % (K = 2, linear (dim=50)")


def test_cells_that_failed_or_hold_one_number_of_the_two_are_left_out() -> None:
    lost = measurement("MAML", 2, status=Status.OOM, metrics={"forecast_peak_bytes": [1.0], "peak_bytes": [1.0]})
    found = settings([run([lost, measurement("MAML", 1, metrics={"peak_bytes": [1.0]})])])
    assert pairs(found) == {}
    assert calibration_chart(found, styles(found)) is None
    assert calibration_table(found) is None


def test_a_cell_of_two_studies_counts_once() -> None:
    studies = ({"title": "A", "label": "MAML"}, {"title": "B", "label": "MAML"})
    table = calibration_table(settings([run([cell(1, 1e6, 1e6, studies=studies)])]))
    assert table is not None
    assert [row.texts[1] for row in table.rows] == ["1"]
