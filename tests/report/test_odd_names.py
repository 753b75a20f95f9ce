"""Runs and suites whose names no encoding has: every document can be written all the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.ci.summary import run_summary
from harness.compare import as_json, as_junit, as_markdown, compare_runs
from harness.exports import FORMATS, export
from harness.report import write_report
from harness.store import LoadedRun
from tests.report.synthetic import curve, memory, run

ODD = "odd \udcff \x1b[2J\u202e"


def odd_run() -> LoadedRun:
    return replace(run(curve("MAML", "maml", (1, 2, 4), memory(1e6, 1e6))), path=Path(ODD) / ODD)


def test_a_report_can_be_written(tmp_path: Path) -> None:
    write_report([odd_run(), odd_run()], tmp_path)
    for path in (each for each in tmp_path.iterdir() if each.suffix in (".html", ".md", ".csv")):
        text = path.read_text()
        assert "\x1b" not in text
        assert "\u202e" not in text


@pytest.mark.parametrize("name", FORMATS)
def test_every_export_can_be_written(name: str) -> None:
    content = export([odd_run(), odd_run()], name).content
    assert b"\x1b[2J" not in content
    assert content


def test_a_comparison_can_be_written() -> None:
    comparison = compare_runs(odd_run(), replace(odd_run(), notices=[f"about {ODD}"]))
    markdown = as_markdown(comparison, comparison.findings)
    for content in (markdown.encode(), as_json(comparison), as_junit(comparison)):
        assert b"\x1b[2J" not in content


def test_a_summary_can_be_written() -> None:
    assert "\x1b" not in run_summary([odd_run()])
