"""Cells sorted into what may share a figure, and curves over the inner steps within."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.cell import Cell, Measurement, Part, Status
from harness.frame import summary
from harness.statistics import Summary
from harness.store import LoadedRun


@dataclass(frozen=True, eq=False)
class Curve:
    """One configuration of an estimator over K."""

    label: str
    estimator: str
    """The estimator's name in the registry."""
    measurements: tuple[Measurement, ...]
    _points: dict[str, dict[int, Summary]] = field(default_factory=dict, init=False, repr=False)

    def samples(self, metric: str) -> dict[int, list[float]]:
        """The metric's finite samples by K, ascending, of all cells there that ended well."""
        pooled: dict[int, list[float]] = {}
        for measurement in sorted(self.measurements, key=lambda m: m.cell.steps):
            finite = [value for value in measurement.metrics.get(metric, ()) if math.isfinite(value)]
            if finite and measurement.status is Status.OK:
                pooled.setdefault(measurement.cell.steps, []).extend(finite)
        return pooled

    def points(self, metric: str) -> dict[int, Summary]:
        """Median and quartiles of the samples by K."""
        if metric not in self._points:
            self._points[metric] = {steps: summary(values) for steps, values in self.samples(metric).items()}
        return self._points[metric]

    def medians(self, metric: str) -> dict[int, float]:
        """Medians of the samples by K."""
        return {steps: point.median for steps, point in self.points(metric).items()}

    def failures(self, metric: str | None = None) -> dict[int, Status]:
        """How cells that were to measure the metric, or any, failed, by K, ascending."""
        failed = [
            m for m in self.measurements if m.status is not Status.OK and (metric is None or measures(m.cell, metric))
        ]
        return {m.cell.steps: m.status for m in sorted(failed, key=lambda m: m.cell.steps)}


def measures(cell: Cell, metric: str) -> bool:
    """Whether one of the figures' metrics was to be measured on the cell."""
    if metric == "peak_bytes":
        return "memory" in cell.measure
    if metric == "wall_seconds":
        return "time" in cell.measure
    return any(metric.startswith(reference) for reference in cell.references)


@dataclass(frozen=True)
class Setting:
    """All cells of a run that differ in nothing but estimator, K and seed, so that their numbers may be compared."""

    facts: Mapping[str, str]
    """What they have in common, in words, by what the words are about."""
    measurements: tuple[Measurement, ...]
    curves: tuple[Curve, ...]
    """The measurements by estimator."""

    @property
    def title(self) -> str:
        """The facts in one line."""
        return ", ".join(self.facts.values())

    @property
    def failures(self) -> list[Measurement]:
        """The cells that did not end well."""
        return [m for m in self.measurements if m.status is not Status.OK]

    def steps(self) -> list[int]:
        """Every K of a cell, ascending."""
        return sorted({m.cell.steps for m in self.measurements})


def settings(runs: Sequence[LoadedRun]) -> list[Setting]:
    """The runs' settings, in the order of their first cells."""
    found: list[Setting] = []
    for run in runs:
        name = {"run": f"run {run.path.name}"} if len(runs) > 1 else {}
        for cells in _comparable(run.measurements):
            facts = name | _facts(cells[0].cell, run.manifest.machine.device_name)
            found.append(Setting(facts, tuple(cells), _curves(cells)))
    return found


def _comparable(measurements: Iterable[Measurement]) -> Iterable[list[Measurement]]:
    groups: dict[tuple[object, ...], list[Measurement]] = {}
    for measurement in measurements:
        cell = measurement.cell
        common = (_identity(cell.problem), cell.tasks, cell.dtype, cell.device, cell.threads)
        groups.setdefault(common, []).append(measurement)
    return groups.values()


def _facts(cell: Cell, device_name: str) -> dict[str, str]:
    return {
        "problem": _described(cell.problem),
        "tasks": f"{cell.tasks} task{'s' if cell.tasks > 1 else ''}",
        "dtype": cell.dtype,
        "device": f"{cell.device} ({device_name})" if device_name else cell.device,
        "threads": f"{cell.threads} thread{'s' if cell.threads > 1 else ''}",
    }


def _curves(measurements: Sequence[Measurement]) -> tuple[Curve, ...]:
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.cell.label, _identity(measurement.cell.estimator)), []).append(measurement)
    labels = [label for label, _ in groups]
    return tuple(
        Curve(
            label if labels.count(label) == 1 else f"{label}: {_described(group[0].cell.estimator)}",
            group[0].cell.estimator.name,
            tuple(group),
        )
        for (label, _), group in groups.items()
    )


def _identity(part: Part) -> str:
    return part.model_dump_json()


def _described(part: Part) -> str:
    parameters = ", ".join(f"{name}={value}" for name, value in part.parameters.items())
    return f"{part.name} ({parameters})" if parameters else part.name
