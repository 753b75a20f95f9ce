"""A run as a page of Markdown."""

import pytest

from harness.cell import Measurement, Status, Study
from harness.ci.summary import LARGEST_TABLE, headline, run_summary, verdicts_summary
from harness.expectations import Outcome, Verdict
from harness.report.settings import settings
from tests.exports.hostile import LABELS
from tests.report.synthetic import curve, measurement, run

NUMBERS = {"peak_bytes": [2e6], "wall_seconds": [0.1, 0.2, 0.4], "backprop_relative_error": [1e-16]}


def table(measurements: list[Measurement]) -> tuple[list[str], list[list[str]]]:
    [setting] = settings([run(measurements)])
    found = headline(setting)
    return found.headers, [row.texts for row in found.rows]


def test_peak_time_and_error_by_estimator_and_steps() -> None:
    cells = [
        measurement("MAML", 2, metrics=NUMBERS),
        measurement("MAML", 1, metrics=NUMBERS),
        measurement("iMAML", 1, estimator="imaml-cg", status=Status.OOM, reason="no room"),
    ]
    headers, rows = table(cells)
    assert headers == ["estimator", "inner steps K", "peak memory", "wall time", "error against backprop", "status"]
    assert rows == [
        ["MAML", "1", "2 MB", "200 ms", "1.00e-16", "ok"],
        ["MAML", "2", "2 MB", "200 ms", "1.00e-16", "ok"],
        ["iMAML", "1", "", "", "", "oom: no room"],
    ]


def test_of_a_large_grid_the_ends_are_shown() -> None:
    grid = [
        cell
        for n in range(4)
        for cell in curve(f"iMAML {n}", "imaml-cg", range(1, 9), lambda _: NUMBERS, parameters={"cg_steps": n})
    ]
    assert len(grid) > LARGEST_TABLE
    assert [row[1] for row in table(grid)[1]] == ["1", "8"] * 4
    assert len(table(grid[:24])[1]) == 24


def test_one_setting_lies_open_and_several_are_folded() -> None:
    one = run_summary([run(curve("MAML", "maml", (1, 2, 4), lambda k: {"peak_bytes": [10.0 * k]}))])
    assert one.startswith("## fig2b\n\nlinear (dim=50), 1 task, float32, cpu (Some CPU), 1 thread\n\n- Peak memory")
    assert "<details>" not in one
    studies = (Study(title="<b>One", label="MAML"), Study(title="Two", label="MAML"))
    two = run_summary([run([measurement(metrics=NUMBERS, studies=studies)])])
    assert two.count("<details><summary>") == two.count("</details>") == 2
    assert "<details><summary>&lt;b&gt;One: linear" in two


def test_verdicts_have_a_heading_and_none_have_none() -> None:
    text = verdicts_summary("fig2b", [Verdict("Flat", "flat", Outcome.PASS, "is flat")])
    assert text.startswith("## fig2b: expectations\n\n1 of 1 claim holds.\n\n| verdict |")
    assert verdicts_summary("fig2b", []) == ""


@pytest.mark.parametrize("label", LABELS)
def test_no_text_is_markup(label: str) -> None:
    studies = (Study(title=label, label=label), Study(title="other", label=label))
    cell = measurement(label, status=Status.CRASH, reason=label, metrics=NUMBERS, studies=studies)
    lines = run_summary([run([cell])]).splitlines()
    assert sum("|" in line.replace("\\|", "") and not line.startswith("<details>") for line in lines) == 6
    for line in lines:
        plain = line.replace("<details><summary>", "").replace("</summary>", "").replace("</details>", "")
        assert "<" not in plain
    assert all(line.startswith(("## ", "<", "- ", "|")) or not line for line in lines)
