"""A suite measured into a run directory."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness.cell import Cell, Measurement
from harness.errors import BadInput
from harness.executors import LocalExecutor
from harness.manifest import Machine, Manifest
from harness.store import LoadedRun, load_run, open_run
from harness.suite import Suite, load_suite


class Listener(Protocol):
    """Someone who wants to know how a run is going."""

    def planned(self, todo: Sequence[Cell], done: int, notices: Sequence[str]) -> None:
        """The run begins: the cells to measure, and how many were measured before."""
        ...

    def measured(self, measurement: Measurement) -> None:
        """A cell has ended, and its measurement is on the disk."""
        ...


def run(
    suite: str | Path,
    out: str | Path,
    device: str = "auto",
    steps: Sequence[int] | None = None,
    estimators: Sequence[str] | None = None,
    threads: int | None = None,
    listener: Listener | None = None,
    plugins: Sequence[str] = (),
) -> LoadedRun:
    """Measure every cell of a suite that ``out`` does not hold yet, each in a process of its own.

    Args:
        suite: Name of a packaged suite or path of a TOML file.
        out: The run directory; one that holds a run of the same suite on the same machine is continued.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:I``.
        steps: Inner steps in place of the suite's.
        estimators: Names or labels of the suite's estimators to measure; all by default.
        threads: CPU threads for torch; torch's own choice by default.
        listener: Is told of the plan and of each measurement.
        plugins: Modules every worker imports first, for parts registered by hand.

    Returns:
        The run as it then lies on disk.

    Raises:
        BadInput: Something asked for cannot be; nothing has been written then.
    """
    loaded = load_suite(suite)
    executor = LocalExecutor(plugins)
    machine, cells = plan(loaded, executor, device=device, steps=steps, estimators=estimators, threads=threads)
    with open_run(Path(out), _manifest(loaded, machine, cells)) as store:
        done = store.done()
        todo = [cell for cell in cells if cell.key not in done]
        if listener:
            listener.planned(todo, len(cells) - len(todo), store.notices)
        for measurement in executor.run(todo):
            store.append(measurement)
            if listener:
                listener.measured(measurement)
        store.finish()
    return load_run(Path(out))


def plan(
    suite: Suite,
    executor: LocalExecutor,
    *,
    device: str = "auto",
    steps: Sequence[int] | None = None,
    estimators: Sequence[str] | None = None,
    threads: int | None = None,
) -> tuple[Machine, list[Cell]]:
    """The machine and the cells :func:`run` would measure on it, with every part built once to see that it can be.

    Raises:
        BadInput: Something asked for cannot be.
    """
    machine = executor.ask("harness.machine:describe", device, threads)
    cells = suite.cells(machine.device, machine.threads, steps, estimators)
    try:
        executor.ask("harness.worker:check", cells)
    except BadInput as error:
        raise BadInput(f"{suite.path}: {error}") from None
    return machine, cells


def _manifest(suite: Suite, machine: Machine, cells: Sequence[Cell]) -> Manifest:
    revision = _git("rev-parse", "HEAD")
    return Manifest(
        suite=suite.identity(),
        machine=machine,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        git_revision=revision,
        git_dirty=None if revision is None else bool(_git("status", "--porcelain")),
        planned=[cell.key for cell in cells],
    )


def _git(*arguments: str) -> str | None:
    """Output of a git command in the working folder; ``None`` without git or outside a checkout."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
