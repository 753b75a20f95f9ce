"""A comparison as JSON, Markdown and JUnit, with labels nobody should trust."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.cell import Status
from harness.compare import Comparison, as_json, as_junit, as_markdown, change, compare_runs, row
from tests.report.synthetic import HOSTILE, measurement, run

HEAD_REASON = "\x1b[31mboom\x00 | <b>"


@pytest.fixture
def comparison() -> Comparison:
    """A worse number, an unclear time, a new failure, and one number that is the same."""
    amounts = {"peak_bytes": [1e6], "wall_seconds": [1.0] * 3}
    worse = {"peak_bytes": [1.05e6], "wall_seconds": [1.1] * 3}
    base = run([measurement(HOSTILE, metrics=amounts), measurement("B", 2, metrics=amounts)])
    head = run([measurement(HOSTILE, metrics=worse), measurement("B", 2, status=Status.OOM, reason=HEAD_REASON)])
    return compare_runs(base, head)


def test_json_holds_everything(comparison: Comparison) -> None:
    content = json.loads(as_json(comparison))
    assert content["passed"] is False
    assert content["counts"] == {"worse": 2, "unclear": 1, "better": 0, "same": 1}
    assert len(content["findings"]) == 4
    memory = next(each for each in content["findings"] if each["metric"] == "peak_bytes")
    assert (memory["base"], memory["head"], memory["unit"], memory["verdict"]) == (1e6, 1.05e6, "B", "worse")
    assert memory["ratio"] == pytest.approx(1.05)
    assert content["base"] == {"path": "runs/today", "git_revision": None, "suite": "fig2b"}


def test_numbers_that_are_not_finite_do_not_break_json() -> None:
    base, head = (run([measurement(metrics={"implicit_relative_error": [each]})]) for each in (0.1, math.inf))
    assert [each["head"] for each in json.loads(as_json(compare_runs(base, head)))["findings"]] == [None, None]


def test_junit_fails_what_is_worse_and_skips_what_is_unclear(comparison: Comparison) -> None:
    suites = ElementTree.fromstring(as_junit(comparison))
    [suite] = suites
    counts = {name: suites.get(name) for name in ("tests", "failures", "skipped", "errors")}
    assert counts == {"tests": "4", "failures": "2", "skipped": "1", "errors": "0"}
    assert [(case.get("name"), [child.tag for child in case]) for case in suite] == [
        ("peak_bytes", ["failure"]),
        ("status", ["failure"]),
        ("wall_seconds", ["skipped"]),
        ("status", []),
    ]
    messages = [child.get("message") for case in suite for child in case]
    assert messages[0] == "1 MB → 1.050 MB; +5 %"
    assert messages[1] == "ok before, oom now: [31mboom | <b>"
    assert "processes do not tell" in (messages[2] or "")
    assert "<script>" in (suite[0].get("classname") or "")


def test_markdown_is_a_table_that_nothing_breaks(comparison: Comparison) -> None:
    text = as_markdown(comparison, comparison.changes)
    lines = text.splitlines()
    assert lines[0] == "**WORSE**: 2 WORSE, 1 UNCLEAR, 0 BETTER, 1 SAME of 4 numbers of 2 cells"
    assert sum(line.startswith(("| WORSE", "| UNCLEAR")) for line in lines) == 3
    assert {line.replace("\\|", "").count("|") for line in lines if line.startswith("| WORSE")} == {8}
    assert "<script>" not in text
    assert "a\\|b" in text
    assert "\x1b" not in text


def test_markdown_of_nothing_worse_says_so(tmp_path: Path) -> None:
    same = run([measurement(metrics={"flops": [1.0]})], notices=["a note | <i>"])
    text = as_markdown(compare_runs(same, same), [])
    assert text.startswith("**PASSED**: 0 WORSE")
    assert "a note \\| &lt;i&gt;" in text


def test_a_row_has_numbers_in_readable_units(comparison: Comparison) -> None:
    memory = next(each for each in comparison.findings if each.metric == "peak_bytes")
    assert row(memory)[2:] == ["peak memory", "1 MB", "1.050 MB", "+5 %", ""]
    time = next(each for each in comparison.findings if each.metric == "wall_seconds")
    assert row(time)[5].startswith("+10 % (-")


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        (1.0, 1.0, ""),
        (0.0, 1.0, ""),
        (1.0, math.inf, ""),
        (1.0, 0.5, "-50 %"),
        (1e-3, 0.025, "× 25"),
        (8.0, 9.0, "+12.5 %"),
    ],
)
def test_a_change_in_words(base: float, head: float, expected: str) -> None:
    assert change(base, head) == expected
