"""A suite: a problem, the estimators to compare on it and the grid to compare them over, read from a TOML file."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any

from harness.cell import Cell, Part, Value
from harness.errors import BadInput, unknown
from harness.manifest import SuiteIdentity
from harness.suite_files import find_suite
from harness.suite_schema import EstimatorTable, GridTable, MeasureTable, StepsByDevice, parse_steps, parse_suite


@dataclass(frozen=True)
class Configuration:
    """An estimator with all of its parameters but the inner steps, and what figures call it."""

    label: str
    estimator: Part


@dataclass(frozen=True)
class Suite:
    """What to measure."""

    path: Path
    title: str
    description: str
    digest: str
    """SHA-256 of the file's text."""
    problem: Part
    configurations: tuple[Configuration, ...]
    """In the file's order; labels and estimators are each unique."""
    grid: GridTable
    measure: MeasureTable

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    def identity(self) -> SuiteIdentity:
        """What a run's manifest says about its suite."""
        return SuiteIdentity(name=self.name, title=self.title, digest=self.digest)

    def cells(
        self,
        device: str,
        threads: int,
        steps: Sequence[int] | None = None,
        estimators: Sequence[str] | None = None,
    ) -> list[Cell]:
        """The grid's points, no two alike, with few inner steps before many: a part of them already makes a figure.

        Args:
            device: ``cpu`` or ``cuda:I``.
            threads: CPU threads torch may use.
            steps: Inner steps to measure in place of the grid's.
            estimators: Names or labels of the estimators to measure; all of them where it is left out.

        Raises:
            BadInput: The steps are not positive whole numbers, the grid has none for the device, an estimator is not
                in the suite, or nothing is left to measure.
        """
        chosen = self._chosen(estimators)
        chosen_steps = self._steps_on(device) if steps is None else parse_steps(steps)
        axes = product(chosen_steps, self.grid.tasks, self.grid.dtype, chosen)
        return [
            Cell(
                problem=self.problem,
                estimator=configuration.estimator,
                label=configuration.label,
                steps=step_count,
                tasks=tasks,
                dtype=dtype,
                device=device,
                threads=threads,
                seed=self.grid.seed,
                draws=self.grid.draws,
                measure=self.measure.passes,
                references=self.measure.references,
                min_samples=self.measure.min_samples,
                min_seconds=self.measure.min_seconds,
                time_limit_seconds=self.measure.time_limit_seconds,
            )
            for step_count, tasks, dtype, configuration in axes
        ]

    def _chosen(self, wanted: Sequence[str] | None) -> Sequence[Configuration]:
        if wanted is None:
            return self.configurations
        known = {name for each in self.configurations for name in (each.label, each.estimator.name)}
        for name in wanted:
            if name not in known:
                raise unknown(f"estimator of suite '{self.name}'", name, known)
        chosen = [each for each in self.configurations if each.label in wanted or each.estimator.name in wanted]
        if not chosen:
            raise BadInput(f"no estimator of suite '{self.name}' is chosen: nothing to measure")
        return chosen

    def _steps_on(self, device: str) -> tuple[int, ...]:
        if not isinstance(self.grid.steps, StepsByDevice):
            return self.grid.steps
        kind = device.partition(":")[0]
        steps = {"cpu": self.grid.steps.cpu, "cuda": self.grid.steps.cuda}.get(kind)
        if steps is None:
            raise BadInput(f"{self.path}: grid.steps: no list for device '{device}'; add '{kind} = [...]'")
        return steps


def load_suite(suite: str | Path) -> Suite:
    """Read a suite, given by the name of a packaged one or by a path (ends in ``.toml`` or has a separator).

    Names of the problem and the estimators are checked, their parameters are not: that takes building the parts.

    Raises:
        BadInput: No such suite, or the file is not a valid suite; one line with file, key and value.
    """
    path = find_suite(suite)
    try:
        content = path.read_bytes()
        table = parse_suite(content.decode(), str(path))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text (byte {error.start})") from error
    inner = table.inner.model_dump(exclude_unset=True)
    return Suite(
        path=path,
        title=table.title,
        description=table.description,
        digest=hashlib.sha256(content).hexdigest(),
        problem=Part(name=table.problem.name, parameters=table.problem.model_extra or {}),
        configurations=_configurations(table.estimator, inner, path),
        grid=table.grid,
        measure=table.measure,
    )


def _configurations(
    entries: Sequence[EstimatorTable], inner: Mapping[str, Any], path: Path
) -> tuple[Configuration, ...]:
    found: list[Configuration] = []
    for index, entry in enumerate(entries):
        where = f"{path}: estimator[{index}]"
        for new in _expanded(entry, inner, where):
            _refuse_twins(new, found, where)
            found.append(new)
    return tuple(found)


def _expanded(entry: EstimatorTable, inner: Mapping[str, Any], where: str) -> Iterator[Configuration]:
    """The entry's configurations: one for each combination of its lists' values."""
    parameters: dict[str, Any] = {**inner, **(entry.model_extra or {})}
    if "steps" in parameters:
        raise BadInput(f"{where}.steps: inner steps belong in [grid]")
    axes = {name: value for name, value in parameters.items() if isinstance(value, list)}
    for values in product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        estimator = Part(name=entry.name, parameters={**parameters, **point})
        template = entry.label or " ".join([entry.name, *(f"{name}={{{name}}}" for name in axes)])
        yield Configuration(_filled(template, estimator.parameters, f"{where}.label"), estimator)


def _refuse_twins(new: Configuration, others: Sequence[Configuration], where: str) -> None:
    for other in others:
        if new.estimator == other.estimator:
            raise BadInput(f"{where}: '{new.label}' is the same estimator as '{other.label}'")
        if new.label == other.label:
            raise BadInput(f"{where}.label: '{new.label}' is taken; say in it what differs, as in '{{lam}}'")


def _filled(template: str, parameters: Mapping[str, Value], where: str) -> str:
    """The label with every ``{name}`` replaced; nothing else of the format language is taken."""
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise BadInput(f"{where}: {error} in '{template}'") from error
    filled = ""
    for literal, name, specification, conversion in pieces:
        filled += literal
        if name is None:
            continue
        if specification or conversion:
            raise BadInput(f"{where}: only plain fields such as '{{{name}}}' are filled in, not those of '{template}'")
        if name not in parameters:
            raise BadInput(f"{where}: {unknown('parameter', name, parameters)}")
        filled += str(parameters[name])
    return filled
