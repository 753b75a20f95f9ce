"""What a run says on a terminal."""

import io

import pytest
from rich.console import Console

from harness.cell import Cell, Measurement, Part, Status
from harness.cli.progress import Bar, Json, Lines, Quiet, listener_for


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
