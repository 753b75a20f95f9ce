"""What is said while runs are read and drawn."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli import stages

RUNS = [Path(__file__).parents[1] / "runs" / f"schema{version}" for version in (1, 2)]


def shown(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object], *, terminal: bool) -> str:
    screen = io.StringIO()

    def console(*, stderr: bool) -> Console:
        assert stderr
        return Console(file=screen, force_terminal=terminal, width=400, color_system=None)

    monkeypatch.setattr(stages, "Console", console)
    what()
    return screen.getvalue()


def test_a_terminal_shows_which_run_is_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, lambda: stages.read_runs(RUNS), terminal=True)
    assert [f"reading {run} ({count} of 2)" in text for count, run in enumerate(RUNS, start=1)] == [True, True]
    assert f"reading {RUNS[0]} (" not in shown(monkeypatch, lambda: stages.read_runs(RUNS[:1]), terminal=True)


def test_elsewhere_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, lambda: stages.read_runs(RUNS), terminal=False) == ""


def test_words_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> None:
        with stages.stage("[bold]x[/nothing]"):
            pass

    assert "[bold]x[/nothing]" in shown(monkeypatch, said, terminal=True)
