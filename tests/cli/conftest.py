import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main

SUITE = """
title = "Small"
[problem]
name = "linear"
dim = 4
n = 8
[inner]
lr = 0.5
lam = 0.5
[[estimator]]
name = "maml"
label = "MAML"
[[estimator]]
name = "imaml-cg"
label = "iMAML"
[grid]
steps = [1, 2, 4]
dtype = "float64"
[measure]
passes = ["accuracy", "memory", "counters", "time"]
references = ["backprop", "implicit"]
min_seconds = 0
max_seconds = 0
"""


def heed_signals() -> None:
    """As from a terminal, whatever runs the tests: what is ignored here, as by ``nohup``, would stay ignored."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of six cells that take a fraction of a second each."""
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run ``imaml-bench`` in a folder of its own, in this process, whose fork server is up already."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["imaml-bench", *map(str, arguments)]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", words)
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(words, int(exit_info.value.code or 0), out, err)

    return run
