"""Stored runs as pandas frames, with units in the column names."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.cell import METRICS, Measurement, Part, Value
from harness.statistics import summarise
from harness.store import LoadedRun, load_run


def read_run(path: str | Path) -> pd.DataFrame:
    """The run in directory ``path`` as by :func:`frame`.

    Raises:
        BadInput: There is no run, it is damaged or of a newer schema, or it holds no measurements.
    """
    return frame([load_run(Path(path))])


def frame(runs: Iterable[LoadedRun]) -> pd.DataFrame:
    """One row a cell; one column a metric, holding the median of its samples.

    In a suite of several studies, the first column names those of the cell. The estimator's parameters are columns by
    their own names, the problem's start with ``problem_``. A metric of which some cell holds more than one sample has
    three more columns: the quartiles around the median (``wall_seconds_low``, ``wall_seconds_high``) and the number of
    samples (``wall_seconds_count``).
    """
    cells = [(run, measurement) for run in runs for measurement in run.measurements]
    repeated = {name for _, cell in cells for name, values in cell.metrics.items() if len(values) > 1}
    columns = _identity_columns(cells)
    for name in metrics_held(cell for _, cell in cells):
        columns += [name, f"{name}_low", f"{name}_high", f"{name}_count"] if name in repeated else [name]
    return _tidy([_identity(run, cell) | _summaries(cell) for run, cell in cells], columns)


def samples(runs: Iterable[LoadedRun]) -> pd.DataFrame:
    """One row a sample: the columns that identify its cell, then ``metric``, ``unit``, ``sample`` and ``value``."""
    cells = [(run, measurement) for run in runs for measurement in run.measurements]
    rows = [
        _identity(run, cell)
        | {"metric": name, "unit": METRICS[name].unit if name in METRICS else "", "sample": index, "value": value}
        for run, cell in cells
        for name, values in cell.metrics.items()
        for index, value in enumerate(values)
    ]
    return _tidy(rows, [*_identity_columns(cells), *_LONG])


def metrics_held(measurements: Iterable[Measurement]) -> list[str]:
    """Metrics of which there is a sample, in the order of ``METRICS``, then any others by name."""
    held = {name for measurement in measurements for name, values in measurement.metrics.items() if values}
    return [*(name for name in METRICS if name in held), *sorted(held - METRICS.keys())]


_LONG = ("metric", "unit", "sample", "value")
_WHAT = ("suite", "run", "problem")
_STUDIES = "studies"
_HOW = ("label", "estimator")
_WHERE = (
    *("steps", "tasks", "dtype", "device", "device_name", "threads", "seed", "draws"),
    *("status", "reason", "started_at", "key"),
)
_RESERVED = {_STUDIES, *_LONG, *_WHAT, *_HOW, *_WHERE, *METRICS}


def _identity(run: LoadedRun, measurement: Measurement) -> dict[str, Any]:
    cell = measurement.cell
    return {
        "suite": run.manifest.suite.name,
        "run": run.name,
        _STUDIES: "; ".join(study.title for study in cell.studies),
        "problem": cell.problem.name,
        **_problem_parameters(cell.problem),
        "label": cell.label,
        "estimator": cell.estimator.name,
        **_estimator_parameters(cell.estimator),
        **{name: getattr(cell, name) for name in ("steps", "tasks", "dtype", "device", "threads", "seed", "draws")},
        "device_name": run.manifest.machine.device_name,
        "status": str(measurement.status),
        "reason": measurement.reason,
        "started_at": measurement.started_at,
        "key": measurement.key,
    }


def _identity_columns(cells: Sequence[tuple[LoadedRun, Measurement]]) -> list[str]:
    of_problem = dict.fromkeys(name for _, m in cells for name in _problem_parameters(m.cell.problem))
    of_estimator = dict.fromkeys(name for _, m in cells for name in _estimator_parameters(m.cell.estimator))
    studies = [_STUDIES] if any(m.cell.studies for _, m in cells) else []
    return [*studies, *_WHAT, *of_problem, *_HOW, *of_estimator, *_WHERE]


def _problem_parameters(part: Part) -> dict[str, Any]:
    return {f"problem_{name}": _plain(value) for name, value in part.parameters.items()}


def _estimator_parameters(part: Part) -> dict[str, Any]:
    """By their own names, but ``estimator_…`` where that is another column's."""
    return {
        f"estimator_{name}" if name in _RESERVED or name.startswith("problem_") else name: _plain(value)
        for name, value in part.parameters.items()
    }


def _plain(value: Value) -> bool | int | float | str:
    return json.dumps(value) if isinstance(value, list) else value


def _summaries(measurement: Measurement) -> dict[str, float]:
    row: dict[str, float] = {}
    for name, values in measurement.metrics.items():
        if values:
            s = summarise(values)
            row |= {name: s.median, f"{name}_low": s.low, f"{name}_high": s.high, f"{name}_count": s.count}
    return row


def _tidy(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """A frame in which whole numbers stay whole where some rows lack them (``cg_steps`` of an estimator without)."""
    data: dict[str, Any] = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        kinds = {type(value) for value in values}
        data[name] = pd.array(values, dtype="Int64") if kinds == {int, type(None)} else values
    return pd.DataFrame(data, columns=pd.Index(columns))
