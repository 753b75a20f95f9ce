"""A run killed at random moments of every stage, continued each time by the same command, and looked over each time.

``python -m tests.kills.kills KILLS FOLDER`` leaves every kill in ``FOLDER/kills.csv``, from which it goes on where it
was broken off, and what they came to in ``FOLDER/README.md``.
"""

import csv
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter

from harness.cell import Status
from harness.errors import BadInput
from harness.files import is_remnant
from harness.machine import describe
from harness.store import MEASUREMENTS, load_run
from tests.cli.conftest import SUITE
from tests.kills.staged import STAGES
from tests.processes import marked

CELLS = 6
MARK = "IMAML_BENCH_KILLS"
"""A variable of the environment that everything a command starts has with it."""
SEED = 0
PATIENCE_SECONDS = 120.0
"""How long a command may take, and what it started may live on without it, before that counts as left behind."""
CERTAIN = (
    *("flops", "gradient_count", "hvp_count", "query_loss"),
    *("peak_bytes", "forecast_peak_bytes", "backprop_relative_error"),
)
"""Metrics that are the same in every run."""


@dataclass(frozen=True)
class Kill:
    """One kill, and what was found after it."""

    kill: int
    run: int
    stage: str
    """Where the command was when it was killed."""
    occurrence: int
    """Which time it was there, counted from 1."""
    into_it_seconds: float
    """How long after it had got to where it was to be killed."""
    measured_before: int
    """Measurements in the run when the command was started."""
    measured_after: int
    torn: bool
    """Whether the kill left a part of a line."""
    lost: int
    """Measurements that were there before and are not."""
    twice: int
    """Processes of a cell that ended well more than once."""
    left_behind: int
    """Processes that still lived after :data:`PATIENCE_SECONDS`."""


@dataclass
class Trial:
    """Run directories, one after another, killed and continued."""

    folder: Path
    seed: int = SEED
    durations: dict[str, list[float]] = field(default_factory=dict)
    """Seconds that a stage took when nobody killed."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._suite = self.folder / "small.toml"
        self._suite.write_text(SUITE)
        self._run = 0
        self._command(self._measuring())
        self._undisturbed = certain(self.path)
        assert len(self._undisturbed) == CELLS
        self._run += 1

    @property
    def path(self) -> Path:
        """The run directory at hand."""
        return self.folder / f"run{self._run}"

    def kill_at(self, stages: Sequence[str]) -> Iterator[Kill]:
        """Kill once at each of these stages; runs that are done are held against the undisturbed one.

        Raises:
            AssertionError: One differs, or a command fails.
        """
        for number, stage in enumerate(stages, start=1):
            killed = None
            while killed is None:  # it may have ended before it was to be killed
                killed = self._killed(number, stage)
            yield killed
        self._finish()

    def _killed(self, number: int, stage: str) -> Kill | None:
        if stage == "report":
            if not self._is_done():
                self._command(self._measuring())
            if stage not in self.durations:
                self._command(self._reporting())
        elif self._is_done():
            self._finish()
            self._run += 1
        before = lines(self.path)
        occurrence = self._random.randint(1, CELLS - len(before)) if stage in ("cell", "append") else 1
        delay = self._random.random() * self._random.choice(self.durations[stage])
        command = self._reporting() if stage == "report" else self._measuring()
        found = self._command(command, (stage, occurrence, delay))
        if found is None:
            return None
        left_behind = processes_left()
        text = (self.path / MEASUREMENTS).read_bytes() if (self.path / MEASUREMENTS).exists() else b""
        after = lines(self.path)
        require_readable(self.path)
        return Kill(
            kill=number,
            run=self._run,
            stage=found[0],
            occurrence=found[1],
            into_it_seconds=round(delay, 4),
            measured_before=len(before),
            measured_after=len(after),
            torn=not text.endswith(b"\n") and bool(text),
            lost=sum(each not in after for each in before),
            twice=sum(count - 1 for count in ended_well(self.path).values()),
            left_behind=left_behind,
        )

    def _finish(self) -> None:
        """The run at hand goes on to its end and is what it would have been, with its report if that was begun."""
        self._command(self._measuring())
        assert certain(self.path) == self._undisturbed
        assert len(lines(self.path)) == CELLS
        if (self.path / "report").exists():
            self._command(self._reporting())
            assert (self.path / "report" / "index.html").stat().st_size
        assert not [each for each in self.path.rglob("*") if is_remnant(each)]

    def _is_done(self) -> bool:
        return len(lines(self.path)) == CELLS

    def _measuring(self) -> list[str]:
        return ["run", str(self._suite), "--out", str(self.path), "--threads", "1"]

    def _reporting(self) -> list[str]:
        return ["report", str(self.path)]

    def _command(self, arguments: list[str], kill: tuple[str, int, float] | None = None) -> tuple[str, int] | None:
        """Run the command, to be killed so many seconds into a stage that it has come to so many times, or more.

        Returns:
            The stage it was at when it was killed and how often it had come to it; ``None`` where it had ended before.
        """
        file = self.folder / "stage"
        file.write_bytes(bytes([0, 0]))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.staged", str(file), *arguments],
            env=os.environ | {MARK: str(os.getpid())},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        since, last, deadline = time.perf_counter(), (STAGES[0], 1), time.perf_counter() + PATIENCE_SECONDS
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 2) as told:
            while process.poll() is None:
                assert time.perf_counter() < deadline, f"{arguments}: not finished"
                if (at := _place(told)) != last:
                    if kill is None:
                        self._note(last[0], time.perf_counter() - since)
                    since, last = time.perf_counter(), at
                if kill and at[0] == kill[0] and at[1] >= kill[1] and time.perf_counter() - since >= kill[2]:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(1e-4)
            _, error = process.communicate()
            if process.returncode == -signal.SIGKILL:
                return _place(told)
        if kill is None:
            self._note(last[0], time.perf_counter() - since)
        assert process.returncode == 0, error.decode()
        return None

    def _note(self, stage: str, seconds: float) -> None:
        self.durations.setdefault(stage, []).append(seconds)


def _place(told: mmap.mmap) -> tuple[str, int]:
    """The stage and how often it has been come to, as the command tells; before it does, it plans."""
    stage, count = told[:]
    return STAGES[stage], max(count, 1)


def lines(path: Path) -> list[bytes]:
    """The whole lines of a run."""
    file = path / MEASUREMENTS
    return (
        [each for each in file.read_bytes().splitlines(keepends=True) if each.endswith(b"\n")] if file.exists() else []
    )


def ended_well(path: Path) -> Counter[tuple[str, int]]:
    """How often a line says that a process of a cell did."""
    found = [json.loads(each) for each in lines(path)]
    return Counter((each["key"], each["repeat"]) for each in found if each["status"] == Status.OK)


def require_readable(path: Path) -> None:
    """A run can be read, or is said to have only begun."""
    try:
        load_run(path)
    except BadInput as error:
        if not str(error).endswith((": no such folder", "(manifest.json is missing)", "holds no measurements yet")):
            raise


def certain(path: Path) -> dict[str, Mapping[str, object]]:
    """What of a run's measurements is the same in every run, by cell."""
    return {
        each.key: {name: each.metrics[name] for name in CERTAIN if name in each.metrics} | {"status": each.status}
        for each in load_run(path).measurements
    }


def processes_left() -> int:
    """How many of what a killed command had started do not end."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while (left := len(marked(MARK, str(os.getpid())))) and time.perf_counter() < deadline:
        time.sleep(0.02)
    return left


def summary(kills: Sequence[Kill], machine: str) -> str:
    """What the kills came to, as a page of Markdown."""
    rows = [
        f"| {stage} | {len(of)} | {sum(each.torn for each in of)} | {sum(each.lost for each in of)} "
        f"| {sum(each.twice for each in of)} | {sum(each.left_behind for each in of)} |"
        for stage in STAGES
        for of in [[each for each in kills if each.stage == stage]]
    ]
    runs = len({each.run for each in kills})
    return "\n".join(
        [
            f"# {len(kills)} kills of {runs} runs",
            "",
            f"`imaml-bench run` and `report` on {machine}, killed by SIGKILL at a random moment of a stage and",
            "continued by the same command. Each run that was brought to its end is as one that nobody killed.",
            "[Every kill](kills.csv).",
            "",
            "| stage | kills | that left part of a line | measurements lost | measured twice | processes left |",
            "|---|--:|--:|--:|--:|--:|",
            *rows,
            "",
        ]
    )


def stored(path: Path) -> list[Kill]:
    """The kills of a file; none where there is none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return TypeAdapter(list[Kill]).validate_python([*csv.DictReader(file)])


def main(count: str, folder: str) -> None:
    """So many kills, evenly over the stages, those that the folder has included."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    stages = [STAGES[number % len(STAGES)] for number in range(int(count))]
    random.Random(SEED).shuffle(stages)
    kills = stored(out / "kills.csv")
    with TemporaryDirectory() as scratch, (out / "kills.csv").open("a", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Kill)], lineterminator="\n")
        if not kills:
            writer.writeheader()
        runs = max((each.run for each in kills), default=0)
        for found in Trial(Path(scratch), SEED + len(kills)).kill_at(stages[len(kills) :]):
            kill = replace(found, kill=len(kills) + 1, run=runs + found.run)
            kills.append(kill)
            writer.writerow(asdict(kill))
            file.flush()
            print(kill, flush=True)
    (out / "README.md").write_text(summary(kills, describe("cpu", 1).device_name))
    sys.exit(any(each.lost or each.twice or each.left_behind for each in kills))


if __name__ == "__main__":
    main(*sys.argv[1:])
