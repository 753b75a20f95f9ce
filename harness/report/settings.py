"""Cells sorted into what may share a figure, and curves over what is varied within."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.cell import Measurement, Part, Status
from harness.expectation import is_measured
from harness.report.variables import STEPS, TASKS, Variable
from harness.statistics import Summary, summarise
from harness.store import LoadedRun
from harness.units import count_of


@dataclass(frozen=True, eq=False)
class Curve:
    """One configuration of an estimator over what is varied: inner steps K, unless a study says otherwise."""

    label: str
    estimator: str
    """The estimator's name in the registry."""
    measurements: tuple[Measurement, ...]
    variable: Variable = STEPS
    everywhere: tuple[float, ...] = ()
    """Where a cell counts that has no value of the variable (MAML among numbers of CG steps)."""
    _points: dict[str, dict[float, Summary]] = field(default_factory=dict, init=False, repr=False)

    def placed(self) -> list[tuple[float, Measurement]]:
        """The cells with their values of the variable, ascending."""
        pairs = [(value, each) for each in self.measurements for value in self._values(each)]
        return sorted(pairs, key=lambda pair: pair[0])

    def samples(self, metric: str) -> dict[float, list[float]]:
        """The metric's finite samples by value of the variable, ascending, of all cells there that ended well."""
        pooled: dict[float, list[float]] = {}
        for value, measurement in self.placed():
            finite = [each for each in measurement.metrics.get(metric, ()) if math.isfinite(each)]
            if finite and measurement.status is Status.OK:
                pooled.setdefault(value, []).extend(finite)
        return pooled

    def points(self, metric: str) -> dict[float, Summary]:
        """Median and quartiles of the samples by value of the variable."""
        if metric not in self._points:
            self._points[metric] = {value: summarise(samples) for value, samples in self.samples(metric).items()}
        return self._points[metric]

    def medians(self, metric: str) -> dict[float, float]:
        """Medians of the samples by value of the variable."""
        return {value: point.median for value, point in self.points(metric).items()}

    def failures(self, metric: str | None = None) -> dict[float, Status]:
        """How cells that were to measure the metric, or any, failed, by value of the variable, ascending."""
        return {
            value: each.status
            for value, each in self.placed()
            if each.status is not Status.OK and (metric is None or is_measured(each.cell, metric))
        }

    def _values(self, measurement: Measurement) -> tuple[float, ...]:
        own = self.variable.of(measurement)
        return self.everywhere if own is None else (own,)


@dataclass(frozen=True)
class Setting:
    """All cells of a run that differ in estimator, seed and what is varied alone, so that they may be compared."""

    facts: Mapping[str, str]
    """What they have in common, in words, by what the words are about."""
    measurements: tuple[Measurement, ...]
    curves: tuple[Curve, ...]
    """The measurements by estimator."""
    logical_cores: int
    """Of the machine."""
    study: str = ""
    """Title of the study they belong to, in a suite of several."""
    variable: Variable = STEPS
    memory_bytes: int | None = None
    """Of the device; of the machine, where that is the processor."""

    @property
    def title(self) -> str:
        """Study and facts in one line."""
        facts = ", ".join(self.facts.values())
        return f"{self.study}: {facts}" if self.study else facts

    @property
    def failures(self) -> list[Measurement]:
        """The cells that did not end well."""
        return [m for m in self.measurements if m.status is not Status.OK]

    def values(self) -> list[float]:
        """Every value of the variable that a cell has, ascending."""
        return _values(self.measurements, self.variable)


def settings(runs: Sequence[LoadedRun]) -> list[Setting]:
    """The runs' settings, study by study, in the order of their first cells."""
    found: list[Setting] = []
    for run in runs:
        name = {"run": f"run {run.name}"} if len(runs) > 1 else {}
        machine = run.manifest.machine
        memory_bytes = machine.memory_bytes if machine.device == "cpu" else machine.device_memory_bytes
        for study, variable, members in _studies(run.measurements):
            for cells in _comparable(members, variable):
                facts = name | _facts(cells, variable, machine.device_name)
                curves = _curves(cells, variable)
                found.append(Setting(facts, tuple(cells), curves, machine.logical_cores, study, variable, memory_bytes))
    return found


def _studies(measurements: Iterable[Measurement]) -> list[tuple[str, Variable, list[Measurement]]]:
    """Title, variable and cells of each study, the cells with the study's labels; cells of no study come as one."""
    found: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        if not measurement.cell.studies:
            found.setdefault(("", STEPS.name), []).append(measurement)
        for study in measurement.cell.studies:
            cell = measurement.cell.model_copy(update={"label": study.label})
            member = measurement.model_copy(update={"cell": cell})
            found.setdefault((study.title, study.x), []).append(member)
    return [(title, Variable(x), members) for (title, x), members in found.items()]


def _comparable(measurements: Iterable[Measurement], variable: Variable) -> Iterable[list[Measurement]]:
    groups: dict[tuple[object, ...], list[Measurement]] = {}
    for measurement in measurements:
        cell = measurement.cell
        tasks = None if variable == TASKS else cell.tasks
        common = (_identity(cell.problem, variable), tasks, cell.dtype, cell.device, cell.threads)
        groups.setdefault(common, []).append(measurement)
    return groups.values()


def _facts(measurements: Sequence[Measurement], variable: Variable, device_name: str) -> dict[str, str]:
    cell = measurements[0].cell
    steps = {m.cell.steps for m in measurements}
    return {
        "problem": cell.problem.without(variable.name).words,
        **({"K": STEPS.at(*steps)} if variable.is_parameter and len(steps) == 1 else {}),
        **({} if variable == TASKS else {"tasks": TASKS.at(cell.tasks)}),
        "dtype": cell.dtype,
        "device": f"{cell.device} ({device_name})" if device_name else cell.device,
        "threads": count_of(cell.threads, "thread"),
    }


def _curves(measurements: Sequence[Measurement], variable: Variable) -> tuple[Curve, ...]:
    groups: dict[tuple[str, str], list[Measurement]] = {}
    several_steps = variable.is_parameter and len({m.cell.steps for m in measurements}) > 1
    for measurement in measurements:
        cell = measurement.cell
        label = f"{cell.label}, {STEPS.at(cell.steps)}" if several_steps else cell.label
        groups.setdefault((label, _identity(cell.estimator, variable)), []).append(measurement)
    labels = [label for label, _ in groups]
    everywhere = tuple(_values(measurements, variable)) if variable.is_parameter else ()
    return tuple(
        Curve(
            label if labels.count(label) == 1 else f"{label}: {group[0].cell.estimator.words}",
            group[0].cell.estimator.name,
            tuple(group),
            variable,
            everywhere,
        )
        for (label, _), group in groups.items()
    )


def _values(measurements: Iterable[Measurement], variable: Variable) -> list[float]:
    return sorted({value for each in measurements if (value := variable.of(each)) is not None})


def _identity(part: Part, variable: Variable) -> str:
    return part.without(variable.name).content
