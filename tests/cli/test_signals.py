"""A command that is told to end, at whatever stage, leaves no process and a run that goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from harness.executors import forks
from harness.store import load_run
from tests.cli.conftest import heed_signals
from tests.processes import marked

PATIENCE_SECONDS = 120.0

MODULE = """
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from harness.estimators.first_order import Fomaml

@dataclass(frozen=True)
class Slow(Fomaml):
    stage: str = ""

    def __post_init__(self):
        super().__post_init__()
        self.reached("planning")

    def estimate(self, objective, lr):
        self.reached("forecast" if "harness.forecast.rehearsals" in sys.modules else "cell")
        return super().estimate(objective, lr)

    def reached(self, stage):
        if stage == self.stage:
            Path("reached").touch()
            time.sleep(3600)
"""

SUITE = """
title = "Slow"
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
name = "slow"
label = "Slow"
stage = "{stage}"
[grid]
steps = [1, 2]
[measure]
passes = ["memory"]
"""


class Command:
    """The command line in a folder with an estimator that hangs at a stage, all its processes marked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._mark = folder, uuid4().hex
        (folder / "my_slow.py").write_text(MODULE)
        info = folder / "my_slow-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-slow\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[imaml_bench.estimators]\nslow = my_slow:Slow\n")

    def start(self, stage: str, *words: str) -> "subprocess.Popen[str]":
        (self.folder / "slow.toml").write_text(SUITE.format(stage=stage))
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            [sys.executable, "-m", "harness", words[0], "slow.toml", *words[1:]],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": path, "TEST_MARK": self._mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_signals,
        )

    def await_stage(self) -> None:
        wait_for((self.folder / "reached").exists)
        (self.folder / "reached").unlink()

    def processes(self) -> list[psutil.Process]:
        return marked("TEST_MARK", self._mark)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while not condition():
        assert time.perf_counter() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def command(tmp_path: Path) -> Generator[Command]:
    command = Command(tmp_path)
    yield command
    for process in command.processes():
        process.kill()


@pytest.mark.parametrize(
    ("stage", "verb", "sent", "code"),
    [
        ("planning", ("run", "--out", "out"), signal.SIGHUP, 129),
        ("forecast", ("run", "--out", "out"), signal.SIGTERM, 143),
        ("cell", ("run", "--out", "out"), signal.SIGINT, 130),
        pytest.param("forecast", ("frontier", "--budget", "1MB"), signal.SIGTERM, 143, marks=pytest.mark.thorough),
    ],
)
def test_a_signal_leaves_no_process_and_a_valid_run(
    command: Command, stage: str, verb: tuple[str, ...], sent: signal.Signals, code: int
) -> None:
    with command.start(stage, *verb) as process:
        command.await_stage()
        process.send_signal(sent)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert command.processes() == []
    if stage == "cell":
        [worked] = load_run(command.folder / "out").measurements
        assert (worked.cell.label, worked.status) == ("MAML", "ok")


def test_a_second_interrupt_ends_the_cleaning_up_too(command: Command) -> None:
    with command.start("cell", "run", "--out", "out") as process:
        command.await_stage()
        [server] = psutil.Process(process.pid).children()
        server.suspend()  # so that the cleaning up takes its time
        process.send_signal(signal.SIGINT)
        time.sleep(forks.END_SECONDS / 5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=forks.END_SECONDS / 2)
    assert (process.returncode, errors) == (130, "")
    wait_for(lambda: command.processes() == [])
    assert len(load_run(command.folder / "out").measurements) == 1


def test_forecasts_are_printed_as_they_come_and_stay_when_the_command_is_stopped(command: Command) -> None:
    with command.start("forecast", "plan", "--memory", "--json", "--device", "cpu") as process:
        assert process.stdout is not None
        cells = [json.loads(process.stdout.readline()) for _ in range(2)]
        command.await_stage()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert [(each["label"], each["steps"]) for each in cells] == [("MAML", 1), ("MAML", 2)]
    assert all(each["forecast_peak_bytes"] > 0 for each in cells)
    assert (rest, errors, process.returncode) == ("", "", 130)
    assert command.processes() == []
