import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cell import Measurement, Status
from harness.exports import export
from tests.exports.hostile import LABELS
from tests.report.synthetic import HOSTILE, measurement, run

OK = measurement(
    metrics={"wall_seconds": [0.0451, 0.0450, 0.0460], "implicit_relative_error": [1.5e-5], "hvp_count": [3]}
)

COMMANDS = {
    *("begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule"),
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "textdegree"),
    *("mu", "alpha", "kappa", "lambda", "theta", "phi", "times", "infty"),
}


def latex(*cells: Measurement, **manifest: Any) -> str:
    return export([run(cells, **manifest)], "latex").content.decode()


def table_rows(text: str) -> list[str]:
    return text.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()


def test_a_table_to_paste() -> None:
    assert latex(OK, measurement(steps=2)).splitlines() == [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        "\\caption{linear (dim=50), 1 task, float32, cpu (Some CPU), 1 thread. "
        "Medians; quartiles in brackets where they differ.}",
        "\\label{tab:fig2b-1}",
        "\\begin{tabular}{lrrr}",
        "\\toprule",
        "estimator & K & wall time (ms) & error against implicit \\\\",
        "\\midrule",
        "MAML & 1 & 45.1 (45.0--45.5) & $1.5\\times 10^{-5}$ \\\\",
        "MAML & 2 &  &  \\\\",
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]


def test_a_setting_is_a_table_with_a_label_of_its_own() -> None:
    text = latex(OK, measurement(dtype="float64"))
    assert re.findall(r"\\label{(.*)}", text) == ["tab:fig2b-1", "tab:fig2b-2"]


def test_a_failed_cell_has_its_status_in_the_row_and_its_reason_in_a_comment() -> None:
    text = latex(OK, measurement(steps=2, status=Status.OOM, reason="no\n\\end{table} memory"))
    assert "estimator & K & status & wall time (ms) & error against implicit \\\\" in text
    assert "MAML & 2 & oom &  &  \\\\" in text
    assert "\n% MAML 2: no \\end{table} memory\n\\end{table}\n" in text


def test_a_user_chooses_the_metrics() -> None:
    assert "& Hessian-vector products \\\\" in export([run([OK])], "latex", ["hvp_count"]).content.decode()


@pytest.mark.parametrize(
    ("value", "written"),
    [(float("inf"), "$\\infty$"), (float("-inf"), "$-\\infty$"), (-3.0, "$-3$"), (1234.0, "1,234")],
)
def test_numbers_are_typeset(value: float, written: str) -> None:
    text = export([run([measurement(metrics={"query_loss": [value]})])], "latex", ["query_loss"]).content.decode()
    assert table_rows(text) == [f"MAML & 1 & {written} \\\\"]


def is_harmless(text: str, columns: int, rows: int) -> bool:
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert set(re.findall(r"\\([A-Za-z]+)", body)) <= COMMANDS
    bare = re.sub(r"\\[&%$#_{}]", "", body)
    assert not set('%#~^_*"<>|') & set(re.sub(r"10\^|{[*]}", "", bare))
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert [row.count("&") for row in table_rows(bare)] == [columns - 1] * rows
    assert not [row for row in table_rows(bare) if row.lstrip().startswith(("[", "*"))]
    return True


@pytest.mark.parametrize("label", LABELS)
def test_no_text_is_a_command(label: str) -> None:
    failed = measurement(label, 2, status=Status.CRASH, reason=label)
    studied = measurement(label, 3, studies=[{"title": label, "label": label}])
    for cells, columns, rows in ([OK, failed], 5, 2), ([studied], 2, 1):
        assert is_harmless(latex(*cells), columns, rows)


@given(st.text(min_size=1))
def test_no_text_at_all_is_a_command(label: str) -> None:
    assert is_harmless(latex(measurement(label)), 2, 1)


def test_the_label_is_made_of_letters() -> None:
    suite = {"name": HOSTILE, "title": "", "digest": ""}
    assert "\\label{tab:script-alert-x-script-frac-a-b-c-d-1}" in latex(OK, suite=suite)
