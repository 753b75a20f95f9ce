"""A suite measured into a run directory."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness.cell import Cell, Measurement, Status
from harness.checks import MOST_REPEATS, require_count
from harness.errors import BadInput, unknown
from harness.executors import LocalExecutor, WorkerDied
from harness.forecast import Forecast
from harness.git import git
from harness.limits import MemoryLimit, Skip
from harness.manifest import Machine, Manifest, Provenance
from harness.registry import of_python
from harness.store import LoadedRun, load_run, open_run
from harness.suite import Suite, load_suite
from harness.text import harmless
from harness.timelines import TRACES

CHECK_SECONDS = 600.0
"""Longest that building every part may take: tens of thousands of images may have to be read for their cache."""

FORECAST_SECONDS = 120.0
"""Longest the forecast of a configuration may take: it is a few runs of few steps without data."""


@dataclass(frozen=True)
class Choice:
    """Which of a suite's cells, and where."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:I``."""
    steps: Sequence[int] | None = None
    """Inner steps in place of the suite's."""
    estimators: Sequence[str] | None = None
    """Names or labels of the suite's estimators; all by default."""
    threads: int | None = None
    """CPU threads for torch; torch's own choice by default."""


class Listener(Protocol):
    """Someone who wants to know how a run is going."""

    def planned(self, todo: Sequence[Cell], done: int, notices: Sequence[str]) -> None:
        """The run begins: the cells to measure, once a process, and how many were measured before."""
        ...

    def measured(self, measurement: Measurement) -> None:
        """A cell has ended, and its measurement is on the disk."""
        ...

    def noticed(self, notice: str) -> None:
        """Something has come up that the user should know."""
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
    repeats: int = 1,
    trace: bool = False,
    skip: Skip | str = Skip.FORECAST,
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
        repeats: In how many processes each cell is measured, all cells once before any is measured again.
        trace: Leave every cell's memory timeline in the run's folder ``traces``.
        skip: Which cells not to start for want of memory: ``forecast`` (those forecast not to fit, and those with more
            inner steps than one that ran out of memory), ``oom`` (the latter alone) or ``never``.

    Returns:
        The run as it then lies on disk.

    Raises:
        BadInput: Something asked for cannot be; nothing has been written then.
    """
    _require_kinds(suite, steps=steps, estimators=estimators, plugins=plugins)
    threads, repeats = of_python(threads), of_python(repeats)
    require_count("repeats", repeats)
    if repeats > MOST_REPEATS:
        raise BadInput(f"repeats: {repeats:,} is more than {MOST_REPEATS:,}")
    if skip not in list(Skip):
        raise unknown("choice of what to skip", skip, Skip)
    loaded = load_suite(suite)
    executor = LocalExecutor(plugins)
    machine, cells = plan(loaded, executor, Choice(device, steps, estimators, threads))
    provenance: Provenance = executor.ask("harness.machine:provenance", machine.device, machine.threads)
    traces = Path(out).absolute() / TRACES if trace else None
    manifest = _manifest(loaded, machine, provenance, cells, repeats)
    with open_run(Path(out), manifest) as store:
        done, keyed = store.done(), list(zip(manifest.planned, cells, strict=True))
        todo = [(cell, repeat) for repeat in range(repeats) for key, cell in keyed if (key, repeat) not in done]
        if listener:
            listener.planned([cell for cell, _ in todo], len(cells) * repeats - len(todo), store.notices)
        forecasts = _forecasts([cell for cell, _ in todo], executor)
        if listener:
            for notice in without_forecast(forecasts):
                listener.noticed(notice)
        free_bytes = executor.ask("harness.forecast:free_bytes", machine.device) if forecasts else None
        by_key = {cell.key: forecast for cell, forecast in forecasts}
        known = {key: each.peak_bytes for key, each in by_key.items() if each.peak_bytes is not None}
        limit = MemoryLimit(Skip(skip), known, free_bytes, store.latest() if store.ran_out_of_memory() else ())
        for cell, repeat in todo:
            refusal = limit.refusal(cell)
            measurement = (
                _skipped(cell, repeat, refusal)
                if refusal
                else executor.measure(cell, repeat, traces if repeat == 0 else None)
            )
            measurement = _with_forecast(measurement, by_key.get(cell.key))
            store.append(measurement)
            limit.learn(measurement)
            if listener:
                listener.measured(measurement)
        store.finish()
    return load_run(Path(out))


def _require_kinds(suite: object, **lists: object) -> None:
    if not isinstance(suite, str | Path):
        raise BadInput(f"suite: a {type(suite).__name__} is neither the name of a suite nor a path")
    for name, value in lists.items():
        if value is not None and (isinstance(value, str) or not isinstance(value, Iterable)):
            raise BadInput(f"{name}: {value!r} is not a list")


def forecast_each(cells: Iterable[Cell], executor: LocalExecutor) -> Iterator[tuple[Cell, Forecast]]:
    """Each cell with the forecast of its memory, as they come: those that differ in their inner steps together.

    A cell whose forecast ends or hangs the worker has that for a reason, and so have those it shares runs with; the
    others' are made all the same.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        shared = cell.model_dump_json(include={"problem", "estimator", "tasks", "dtype", "device", "threads"})
        groups.setdefault(shared, []).append(cell)
    questions = [(group,) for group in groups.values()]
    answers = executor.ask_each("harness.forecast:forecast", questions, limit_seconds=FORECAST_SECONDS)
    for group, found in zip(groups.values(), answers, strict=True):
        lost = isinstance(found, WorkerDied)
        yield from zip(group, [Forecast(None, reason=str(found))] * len(group) if lost else found, strict=True)


def without_forecast(forecasts: Iterable[tuple[Cell, Forecast]]) -> list[str]:
    """Which cells have no forecast, and why, a line for each configuration and reason."""
    steps: dict[tuple[str, str, str], list[int]] = {}
    for cell, forecast in forecasts:
        if forecast.peak_bytes is None:
            why = forecast.reason or "no reason was given"
            steps.setdefault((cell.label, cell.problem.words, why), []).append(cell.steps)
    return [
        f"no forecast of the memory of {label} on {problem} at K = {', '.join(map(str, dict.fromkeys(ks)))}: {why}"
        for (label, problem, why), ks in steps.items()
    ]


def _forecasts(cells: Sequence[Cell], executor: LocalExecutor) -> list[tuple[Cell, Forecast]]:
    """The forecasts of the cells whose memory is to be measured."""
    return list(forecast_each({cell.key: cell for cell in cells if "memory" in cell.measure}.values(), executor))


def _skipped(cell: Cell, repeat: int, reason: str) -> Measurement:
    return Measurement(key=cell.key, cell=cell, status=Status.SKIPPED, reason=reason, started_at=_now(), repeat=repeat)


def _with_forecast(measurement: Measurement, forecast: Forecast | None) -> Measurement:
    if forecast is None:
        return measurement
    name, metrics, notes = "forecast_peak_bytes", dict(measurement.metrics), dict(measurement.notes)
    if forecast.peak_bytes is not None:
        metrics[name] = [float(forecast.peak_bytes)]
    if forecast.reason is not None:
        notes[name] = forecast.reason
    return measurement.model_copy(update={"metrics": metrics, "notes": notes})


def plan(suite: Suite, executor: LocalExecutor, chosen: Choice) -> tuple[Machine, list[Cell]]:
    """The machine and the cells :func:`run` would measure on it, with every part built once to see that it can be.

    Raises:
        BadInput: Something asked for cannot be.
    """
    machine = executor.ask("harness.machine:describe", chosen.device, chosen.threads)
    return machine, _resolved(
        suite, suite.cells(machine.device, machine.threads, chosen.steps, chosen.estimators), executor
    )


def _manifest(suite: Suite, machine: Machine, provenance: Provenance, cells: Sequence[Cell], repeats: int) -> Manifest:
    revision = git("rev-parse", "HEAD")
    return Manifest(
        suite=suite.identity(),
        machine=machine,
        created_at=_now(),
        command=[harmless(each) for each in (Path(sys.argv[0]).name, *sys.argv[1:])],
        git_revision=revision,
        git_dirty=None if revision is None else bool(git("status", "--porcelain")),
        planned=[cell.key for cell in cells],
        repeats=repeats,
        expectations=suite.expectations,
        **provenance.model_dump(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def imagine(suite: Suite, executor: LocalExecutor, chosen: Choice) -> list[Cell]:
    """The cells :func:`run` would measure on a device that need not be in this machine, for a forecast.

    Raises:
        BadInput: Something asked for cannot be.
    """
    machine: Machine = executor.ask("harness.machine:describe", "cpu", chosen.threads)
    device = executor.ask("harness.machine:imagined_device", chosen.device)
    cells = suite.cells(device, machine.threads, chosen.steps, chosen.estimators)
    here = _resolved(suite, [cell.model_copy(update={"device": "cpu"}) for cell in cells], executor)
    return [cell.model_copy(update={"device": device}) for cell in here]


def _resolved(suite: Suite, cells: Sequence[Cell], executor: LocalExecutor) -> list[Cell]:
    """The cells with every parameter in place, as a worker knows them, each computation once."""
    try:
        found: list[Cell] = executor.ask("harness.worker:resolved", cells, limit_seconds=CHECK_SECONDS)
    except BadInput as error:
        raise BadInput(f"{suite.path}: {error}") from None
    return suite.distinct(found)
