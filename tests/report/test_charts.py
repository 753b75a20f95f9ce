from typing import Any

import pytest

from harness.cell import Measurement, Status
from harness.report.chart_axes import axis, hover
from harness.report.charts import CHARTS, POINTS, Chart, metric_chart, metric_charts
from harness.report.settings import Setting, settings
from harness.report.style import styles
from tests.report.synthetic import HOSTILE, curve, measurement, memory, run


def only(cells: list[Measurement]) -> Setting:
    (setting,) = settings([run(cells)])
    return setting


def chart(cells: list[Measurement], metric: str = "peak_bytes") -> Chart:
    setting = only(cells)
    return metric_chart(setting, metric, styles([setting]))


def all_charts(cells: list[Measurement]) -> tuple[list[Chart], str]:
    found = settings([run(cells)])
    return metric_charts(found, styles(found))


def trace(of: Chart, place: int = 0) -> dict[str, Any]:
    return of.traces[place]


def test_medians_are_drawn_in_one_unit_with_quartiles_about_them() -> None:
    found = chart(curve("MAML", "maml", (1, 2), lambda k: {"peak_bytes": [k * 1e6, k * 2e6, k * 5e6]}))
    assert found.title == "Peak memory (MB)"
    assert trace(found)["x"] == [1, 2]
    assert trace(found)["y"] == [2, 4]
    assert trace(found)["error_y"]["array"] == [1.5, 3]
    assert trace(found)["error_y"]["arrayminus"] == [0.5, 1]
    assert trace(found)["hovertext"][1] == "MAML, K = 2: 4 MB<br>quartiles 3 MB to 7 MB, 3 samples<br>status ok"


def test_single_samples_have_no_whiskers() -> None:
    found = chart(curve("MAML", "maml", (1, 2), memory(1e6, 0)))
    assert "error_y" not in trace(found)
    assert trace(found)["hovertext"][0] == "MAML, K = 1: 1 MB<br>1 sample<br>status ok"


def test_forecasts_are_dashed_and_told_where_the_measured_is() -> None:
    found = chart(curve("MAML", "maml", (1, 2), lambda k: {"peak_bytes": [k * 1e6], "forecast_peak_bytes": [k * 2e6]}))
    assert trace(found, 1)["y"] == [2, 4]
    assert trace(found, 1)["line"]["dash"] == "dash"
    assert "<br>forecast 2 MB<br>" in trace(found)["hovertext"][0]
    assert found.series[0].traces == [0, 1]


def test_failed_cells_are_crosses_above_all_others() -> None:
    lost = measurement("MAML", 4, status=Status.OOM, reason="no memory left", metrics={"forecast_peak_bytes": [9e6]})
    found = chart([*curve("MAML", "maml", (1, 2), memory(1e6, 0)), lost])
    cross = found.traces[-1]
    assert cross["marker"]["symbol"] == "x"
    assert cross["x"] == [4]
    assert cross["y"] == [2.5]
    assert cross["hovertext"] == ["MAML, K = 4<br>status oom<br>no memory left<br>forecast 9 MB"]
    assert len(found.traces) - 1 in found.series[0].traces


def test_what_is_not_finite_is_not_drawn() -> None:
    found = chart(curve("MAML", "maml", (1, 2, 4), lambda k: {"peak_bytes": [float("inf") if k == 2 else k * 1e6]}))
    assert trace(found)["x"] == [1, 4]


def test_theory_is_a_dashed_line_of_its_own() -> None:
    cells = curve(
        "iMAML", "imaml-cg", (1, 2, 4), lambda k: {"implicit_relative_error": [0.5**k]}, references=("implicit",),
        parameters={"lam": 1.0, "lr": "auto"}, problem={"name": "linear", "parameters": {"kappa": 10.0}},
        studies=({"title": "Error", "label": "iMAML"},),
    )  # fmt: skip
    found = chart(cells, "implicit_relative_error")
    assert found.traces[-1]["hovertext"].startswith("theory: ")
    assert len(found.traces[-1]["x"]) > 10
    assert [each.traces for each in found.series] == [[0]]


@pytest.mark.parametrize(("values", "kind"), [((1, 8), "log"), ((1, 7), "linear"), ((0, 8), "linear"), ((), "linear")])
def test_axes_begin_logarithmic_where_values_span_much_and_are_positive(values: tuple[float, ...], kind: str) -> None:
    assert axis("K", values)["type"] == kind


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.0, 30, 500), ["10", "20", "50", "100", "200", "500", "1,000", "2,000", "5,000"]),
        ((1e-9, 1.0), [*(f"10<sup>−{power}</sup>" for power in range(9, 3, -1)), "0.001", "0.01", "0.1", "1"]),
        ((1e-16, 1.0), [f"10<sup>−{power}</sup>" for power in range(16, 3, -2)] + ["0.01", "1"]),
        ((2e6, 2e6), ["10<sup>6</sup>", "2 · 10<sup>6</sup>", "5 · 10<sup>6</sup>", "10<sup>7</sup>",
                      "2 · 10<sup>7</sup>", "5 · 10<sup>7</sup>"]),
        ((5e-324, 5e-324), []),
        ((1000.0,), ["1,000", "2,000", "5,000"]),
        ((), []),
    ],
)  # fmt: skip
def test_logarithmic_axes_are_written_in_full(values: tuple[float, ...], ticks: list[str]) -> None:
    assert axis("error", values)["ticktext"] == ticks


def test_a_note_says_why_a_zero_is_not_on_a_logarithmic_axis() -> None:
    cells = curve("MAML", "maml", (1, 2), lambda k: {"backprop_relative_error": [0.0]})
    assert chart(cells, "backprop_relative_error").note.startswith("0 is not on a logarithmic axis")
    assert chart(curve("MAML", "maml", (1, 2), memory(1e6, 0))).note == ""


def test_labels_are_shown_literally() -> None:
    assert hover(HOSTILE, "b & <b>") == (
        "_&lt;script&gt;alert(\"x\")&lt;/script&gt; $\\frac$ a|b c &amp; 'd'<br>b &amp; &lt;b&gt;"
    )
    found = chart(curve(HOSTILE, "maml", (1, 2), memory(1e6, 0)))
    assert all("<script" not in text for text in trace(found)["hovertext"])


def test_one_chart_a_metric_the_paper_s_first_and_none_of_a_single_point() -> None:
    def several(k: int) -> dict[str, list[float]]:
        return {"flops": [1e6], "wall_seconds": [0.1], "peak_bytes": [1e6], "warmup_seconds": [1.0]}

    cells = [*curve("MAML", "maml", (1, 2), several), measurement("MAML", 4, metrics={"query_loss": [1.0]})]
    found, note = all_charts(cells)
    assert [each.title for each in found] == ["Peak memory (MB)", "Wall time (ms)", "Operations (MFLOP)"]
    assert note == ""


def test_no_more_charts_than_a_page_bears() -> None:
    cells = [
        cell
        for dim in range(CHARTS + 1)
        for cell in curve("MAML", "maml", (1, 2), memory(1e6, 0), problem={"name": "linear", "parameters": {"d": dim}})
    ]
    found, note = all_charts(cells)
    assert len(found) == CHARTS
    assert note == "1 more is left out to keep the page small; the tables have their numbers."
    assert len({each.heading for each in found}) == CHARTS


def test_no_more_points_than_a_page_bears() -> None:
    def two(k: int) -> dict[str, list[float]]:
        return {"peak_bytes": [1e6 * k], "flops": [1e6 * k]}

    found, note = all_charts(curve("MAML", "maml", range(1, POINTS), two))
    assert [each.title for each in found] == ["Peak memory (GB)"]
    assert note.startswith("1 more is left out")
