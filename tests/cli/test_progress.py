"""What a run says on a terminal."""

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from harness.cell import Cell, Measurement, Part, Status
from harness.cli.progress import Bar, Json, Lines, Quiet, busy_line, listener_for
from tests.report.synthetic import measurement as measured
from tests.report.synthetic import run

BUSY = (
    "cells were timed while other processes took their processor: times are not to be trusted; see how busy the "
    "machine is with: imaml-bench doctor"
)


def measurement(steps: int, status: Status = Status.OK, reason: str | None = None) -> Measurement:
    cell = Cell(problem=Part(name="linear"), estimator=Part(name="maml"), label="[b]MAML[/b]", steps=steps)
    metrics = {"peak_bytes": [26.4e6], "wall_seconds": [0.1, 0.2, 0.3]} if status is Status.OK else {}
    return Measurement(key=cell.key, cell=cell, status=status, reason=reason, started_at="", metrics=metrics)


def test_the_listener_says_as_much_as_is_wanted() -> None:
    assert type(listener_for(as_json=True, quiet=False, terminal=True)) is Json
    assert type(listener_for(as_json=False, quiet=True, terminal=True)) is Quiet
    assert type(listener_for(as_json=False, quiet=False, terminal=True)) is Bar
    assert type(listener_for(as_json=False, quiet=False, terminal=False)) is Lines


def test_the_bar_counts_steps_and_prints_lines_as_they_are() -> None:
    stream = io.StringIO()
    bar = Bar(Console(file=stream, force_terminal=True, width=100))
    cells = [measurement(1).cell, measurement(16).cell]
    with bar:
        bar.planned(cells, 0, ["a torn line was cut off"])
        assert bar.fraction == 0.0
        bar.measured(measurement(1))
        assert bar.fraction == pytest.approx(5 / 25)
        bar.measured(measurement(16, Status.OOM, "no memory left"))
        assert bar.fraction == 1.0
    text = stream.getvalue()
    assert "note: a torn line was cut off" in text
    assert "[1/2] K=1   [b]MAML[/b]          ok  peak 26.4 MB  time 200 ms" in text
    assert "oom  no memory left" in text
    assert bar.summary() == "2 of 2 cells measured, 1 failed"


def test_a_resumed_run_counts_what_was_there() -> None:
    stream = io.StringIO()
    bar = Bar(Console(file=stream, force_terminal=True, width=100))
    with bar:
        bar.planned([measurement(6).cell], 3, [])
        bar.measured(measurement(6))
    assert "[4/4] K=6" in stream.getvalue()
    assert bar.summary() == "1 of 4 cells measured, 3 were there already"


def test_cells_that_others_disturbed_are_counted_in_a_line() -> None:
    quiet = measured(metrics={"wall_seconds": [1.0], "foreign_share": [0.1]})
    met = measured(steps=2, metrics={"wall_seconds": [1.0], "foreign_share": [0.1], "steal_share": [0.6]})
    assert busy_line(run([quiet])) is None
    assert busy_line(run([quiet, met])) == f"1 of 2 {BUSY}"


def test_a_run_ends_with_that_line_before_its_summary(
    bench: Callable[..., subprocess.CompletedProcess[str]], suite: Path, tmp_path: Path
) -> None:
    command = ("run", suite, "--out", "out", "--steps", "1", "--estimator", "maml")
    bench(*command, "--quiet")
    stored = tmp_path / "out" / "measurements.jsonl"
    measurement = json.loads(stored.read_text())
    del measurement["digest"]  # of the line as it was written
    measurement["metrics"] |= {"foreign_share": [1.0], "steal_share": [0.0]}
    stored.write_text(json.dumps(measurement) + "\n")
    *_, busy, summary = bench(*command).stdout.splitlines()
    assert busy == f"1 of 1 {BUSY}"
    assert summary.startswith("0 of 1 cells measured, 1 were there already")
    assert bench(*command, "--quiet").stdout == ""
    assert "trusted" not in bench(*command, "--json").stdout


def test_cells_are_told_apart_by_the_parameters_of_the_problem_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [
        measured(problem={"name": "linear", "parameters": {"dim": dim, "n": 5}}, metrics={"peak_bytes": [1e6]})
        for dim in (10, 1000)
    ]
    lines = Lines()
    lines.planned([each.cell for each in cells], 0, [])
    for each in cells:
        lines.measured(each)
    out = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in out] == [
        "[1/2] K=1 MAML linear (dim=10) ok peak 1 MB",
        "[2/2] K=1 MAML linear (dim=1000) ok peak 1 MB",
    ]
