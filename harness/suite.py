"""A suite, read from a TOML file: studies, each a problem, the estimators to compare on it and the grid to do it over.

A list among the parameters of a problem or an estimator is an axis of the grid.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import log10, prod
from pathlib import Path
from string import Formatter
from typing import Any

from harness import cell as cells
from harness.cell import Cell, Part, Value
from harness.checks import LONGEST_TEXT, MOST_CELLS
from harness.errors import BadInput, unknown
from harness.expectation import Expectation, names
from harness.manifest import SuiteIdentity
from harness.suite_expect import Grid, expectations
from harness.suite_files import find_suite
from harness.suite_schema import (
    LARGEST_FILE,
    CountsByDevice,
    EstimatorTable,
    GridTable,
    MeasureTable,
    StudyTable,
    counts_on,
    parse_steps,
    parse_suite,
)
from harness.suite_values import written
from harness.text import harmless

ALWAYS_X = ("steps", "tasks", "evaluations")
"""What every study can be drawn over: inner steps, tasks of the meta-batch, gradient evaluations."""


@dataclass(frozen=True)
class Configuration:
    """An estimator with all of its parameters but the inner steps, and what figures call it."""

    label: str
    estimator: Part


@dataclass(frozen=True)
class Study:
    """One question of a suite: what to compare, and over what."""

    title: str
    """Empty for the only study of a suite."""
    x: str
    """What its figures are drawn over: inner steps, gradient evaluations, or a parameter with a list of values."""
    problems: tuple[Part, ...]
    """In the file's order, as of the lists in it."""
    configurations: tuple[Configuration, ...]
    """In the file's order; no two alike, and labels differ unless the estimators do in ``x`` alone."""
    grid: GridTable
    measure: MeasureTable
    where: str
    """File and study, to begin a message with."""

    def cells(self, device: str, threads: int, steps: Sequence[int] | None) -> Iterator[Cell]:
        """The grid's points, few inner steps first."""
        chosen_steps = self._steps(device, steps)
        tasks_on_device = self._on(device, "tasks", self.grid.tasks)
        axes = product(chosen_steps, tasks_on_device, self.grid.dtype, self.problems, self.configurations)
        for step_count, tasks, dtype, problem, configuration in axes:
            label = configuration.label
            yield Cell(
                problem=problem,
                estimator=configuration.estimator,
                label=label,
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
                max_seconds=self.measure.max_seconds,
                precision=self.measure.precision,
                time_limit_seconds=self.measure.time_limit_seconds,
                studies=(cells.Study(title=self.title, x=self.x, label=label),) if self.title else (),
            )

    def count(self, device: str, steps: Sequence[int] | None) -> int:
        """How many cells :meth:`cells` would give."""
        tasks = self._on(device, "tasks", self.grid.tasks)
        axes = (self._steps(device, steps), tasks, self.grid.dtype, self.problems, self.configurations)
        return prod(map(len, axes))

    def _steps(self, device: str, steps: Sequence[int] | None) -> tuple[int, ...]:
        return self._on(device, "steps", self.grid.steps) if steps is None else parse_steps(steps)

    def _on(self, device: str, key: str, counts: tuple[int, ...] | CountsByDevice) -> tuple[int, ...]:
        found = counts_on(device, counts)
        if found is None:
            kind = device.partition(":")[0]
            raise BadInput(f"{self.where}: grid.{key}: no list for device '{device}'; add '{kind} = [...]'")
        return found


@dataclass(frozen=True)
class Suite:
    """What to measure."""

    path: Path
    title: str
    description: str
    digest: str
    """SHA-256 of the file's text."""
    studies: tuple[Study, ...]
    """In the file's order."""
    expectations: tuple[Expectation, ...] = ()
    """What it claims, in the file's order."""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return harmless(self.path.stem)

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
        """The points of the studies' grids, study by study, no two alike: a point of several studies names them all.

        Within a study few inner steps come before many: a part of them already makes a figure.

        Args:
            device: ``cpu`` or ``cuda:I``.
            threads: CPU threads torch may use.
            steps: Inner steps to measure in place of the grids'.
            estimators: Names or labels of the estimators to measure; all of them where it is left out.

        Raises:
            BadInput: The steps are not positive whole numbers, a grid has none for the device, an estimator is not
                in the suite, or nothing is left to measure.
        """
        wanted = self._wanted(estimators)
        total = sum(study.count(device, steps) for study in self.studies)
        if total > MOST_CELLS:
            raise _too_many(self.path, total, "choose fewer inner steps")
        found = self.distinct(each for study in self.studies for each in study.cells(device, threads, steps))
        return [each for each in found if wanted & names(each)]

    def distinct(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells, each computation once; one of several studies names them all.

        Raises:
            BadInput: Two cells of one study are one computation.
        """
        found: dict[str, Cell] = {}
        for new in cells:
            key = new.key
            known = found.get(key)
            if known is not None and _share_a_study(known, new):
                twins = f"'{known.label}' and '{new.label}'" if known.label != new.label else f"'{new.label}' twice"
                what = f"{new.estimator.words} on {new.problem.words} at {new.point}"
                raise BadInput(f"{self.path}: {twins}: one computation, once defaults are filled in: {written(what)}")
            found[key] = known.seen_as(new) if known else new
        return list(found.values())

    def _wanted(self, estimators: Sequence[str] | None) -> set[str]:
        configurations = [each for study in self.studies for each in study.configurations]
        known = {name for each in configurations for name in (each.label, each.estimator.name)}
        if estimators is None:
            return known
        for name in estimators:
            if name not in known:
                raise unknown(f"estimator of suite '{self.name}'", name, known)
        if not estimators:
            raise BadInput(f"no estimator of suite '{self.name}' is chosen: nothing to measure")
        return set(estimators)


def load_suite(suite: str | Path) -> Suite:
    """Read a suite, given by the name of a packaged one or by a path (ends in ``.toml`` or has a separator).

    Names of the problem and the estimators are checked, their parameters are not: that takes building the parts.

    Raises:
        BadInput: No such suite, or the file is not a valid suite; one line with file, key and value.
    """
    path = find_suite(suite)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise BadInput(f"{path}: larger than a suite can be ({LARGEST_FILE:,} bytes)")
        table = parse_suite(content.decode("utf-8-sig"), str(path))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text (byte {error.start})") from error
    studies = _studies(table.study, str(path))
    return Suite(
        path=path,
        title=table.title,
        description=table.description,
        digest=hashlib.sha256(content).hexdigest(),
        studies=studies,
        expectations=expectations(table.expect, _grids(studies), str(path)),
    )


def _share_a_study(one: Cell, other: Cell) -> bool:
    titles = {study.title for study in one.studies}
    return not titles or any(study.title in titles for study in other.studies)


def _grids(studies: Sequence[Study]) -> list[Grid]:
    """Those of every device there are inner steps for."""
    return [
        Grid(
            study=study.title,
            problems=study.problems,
            estimators=[(each.label, each.estimator) for each in study.configurations],
            steps=counts_on(device, study.grid.steps) or (),
            tasks=counts_on(device, study.grid.tasks) or (),
            dtypes=study.grid.dtype,
            passes=study.measure.passes,
            references=study.measure.references,
        )
        for study in studies
        for device in study.grid.devices()
    ]


def _studies(tables: Sequence[StudyTable], path: str) -> tuple[Study, ...]:
    if len(tables) == 1 and not tables[0].title:
        _require_countable([_Axes.of(tables[0], path)], path)
        return (_study(tables[0], path),)
    taken: set[str] = set()
    for index, table in enumerate(tables):
        if not table.title:
            raise BadInput(f"{path}: study[{index}].title: missing")
        if table.title in taken:
            raise BadInput(f"{path}: study[{index}].title: '{table.title}' is taken")
        taken.add(table.title)
    named = {f"{path}: study '{table.title}'": table for table in tables}
    _require_countable([_Axes.of(table, where) for where, table in named.items()], path)
    return tuple(_study(table, where) for where, table in named.items())


@dataclass(frozen=True)
class _Axes:
    """How many values a study's axes have, known before any cell of it is made."""

    where: str
    shared: dict[str, int]
    """Those that every estimator goes over, by key in the file."""
    by_estimator: list[dict[str, int]]
    """The lists of each estimator."""

    @classmethod
    def of(cls, table: StudyTable, where: str) -> "_Axes":
        grid, problem, inner = table.grid, _lists(table.problem.model_extra or {}), table.inner
        shared = {"grid.steps": _longest(grid.steps), "grid.tasks": _longest(grid.tasks), "grid.dtype": len(grid.dtype)}
        shared |= {f"problem.{name}": count for name, count in problem.items()}
        below = _lists(inner.model_dump(exclude_unset=True))
        own: list[dict[str, int]] = []
        for index, entry in enumerate(table.estimator):
            given = entry.model_extra or {}
            taken = {f"inner.{name}": count for name, count in below.items() if name not in given}
            own.append(taken | {f"estimator[{index}].{name}": count for name, count in _lists(given).items()})
        return cls(where, shared, own)

    @property
    def cells(self) -> int:
        return prod(self.shared.values()) * sum(prod(each.values()) for each in self.by_estimator)

    @property
    def largest(self) -> tuple[str, int]:
        every = [*self.shared.items(), *(axis for each in self.by_estimator for axis in each.items())]
        return max([("estimator", len(self.by_estimator)), *every], key=lambda axis: axis[1])


def _lists(parameters: Mapping[str, Any]) -> dict[str, int]:
    """Lengths of the lists among them."""
    return {name: len(value) for name, value in parameters.items() if isinstance(value, list)}


def _longest(counts: tuple[int, ...] | CountsByDevice) -> int:
    return max(len(counts_on(device, counts) or ()) for device in ("cpu", "cuda"))


def _require_countable(studies: Sequence[_Axes], path: str) -> None:
    total = sum(each.cells for each in studies)
    if total > MOST_CELLS:
        most = max(studies, key=lambda each: each.cells)
        name, count = most.largest
        longest = f"{most.where.removeprefix(f'{path}: ')}: {name}" if most.where != path else name
        raise _too_many(path, total, f"the largest axis is {longest} with {count:,} values")


def _too_many(path: object, cells: int, hint: str) -> BadInput:
    many = f"{cells:,}" if cells < 10**15 else f"more than 10^{int(log10(cells))}"
    return BadInput(f"{path}: {many} cells, of which a suite may have {MOST_CELLS:,}; {hint}")


def _study(table: StudyTable, where: str) -> Study:
    inner = table.inner.model_dump(exclude_unset=True)
    entries = [{**inner, **(entry.model_extra or {})} for entry in table.estimator]
    problem = table.problem.model_extra or {}
    axes = {name for each in (problem, *entries) for name, value in each.items() if isinstance(value, list)}
    if table.x not in (*ALWAYS_X, *axes):
        raise BadInput(f"{where}: x: {unknown('axis', table.x, (*ALWAYS_X, *axes))}")
    for value in (value for each in (problem, *entries) for value in _listed(each.get(table.x))):
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise BadInput(f"{where}: x: '{table.x}' is {json.dumps(value)} somewhere; an axis needs numbers above 0")
    return Study(
        title=table.title,
        x=table.x,
        problems=tuple(
            Part(name=table.problem.name, parameters=point) for point, _ in _points(problem, f"{where}: problem")
        ),
        configurations=_configurations(table.estimator, entries, table.x, where),
        grid=table.grid,
        measure=table.measure,
        where=where,
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _points(parameters: Mapping[str, Any], where: str) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Each combination of the lists' values, with the names of the lists."""
    axes = {name: value for name, value in parameters.items() if isinstance(value, list)}
    for name, values in axes.items():
        texts = [json.dumps(value, ensure_ascii=False) for value in values]
        twice = next((each for each, times in Counter(texts).items() if times > 1), None)
        if twice is not None:
            raise BadInput(
                f"{where}.{name}: {twice} is there twice; a list is an axis of the grid, "
                f"a parameter that is itself a list is written {written([values])}"
            )
    for values in product(*axes.values()):
        yield {**parameters, **dict(zip(axes, values, strict=True))}, list(axes)


def _configurations(
    entries: Sequence[EstimatorTable], parameters: Sequence[Mapping[str, Any]], x: str, where: str
) -> tuple[Configuration, ...]:
    found: dict[object, Configuration] = {}
    by_label: dict[str, Configuration] = {}
    for index, (entry, given) in enumerate(zip(entries, parameters, strict=True)):
        here = f"{where}: estimator[{index}]"
        for new in _expanded(entry, given, x, here):
            twin = found.setdefault(_hashable(new.estimator), new)
            if twin is not new:
                raise BadInput(f"{here}: '{new.label}' is the same estimator as '{twin.label}'")
            first = by_label.setdefault(new.label, new)
            if first.estimator.without(x) != new.estimator.without(x):
                raise BadInput(f"{here}.label: '{new.label}' is taken; say in it what differs, as in '{{lam}}'")
    return tuple(found.values())


def _expanded(entry: EstimatorTable, given: Mapping[str, Any], x: str, where: str) -> Iterator[Configuration]:
    """The entry's configurations: one for each combination of its lists' values."""
    if "steps" in given:
        raise BadInput(f"{where}.steps: inner steps belong in [grid]")
    for point, axes in _points(given, where):
        template = entry.label or " ".join([entry.name, *(f"{name}={{{name}}}" for name in axes if name != x)])
        fields = {name: value for name, value in point.items() if name != x}
        yield Configuration(_filled(template, fields, f"{where}.label"), Part(name=entry.name, parameters=point))


def _hashable(part: Part) -> object:
    """The same of equal parts."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in part.parameters.items()}
    return part.name, frozenset(values.items())


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
    if len(filled) > LONGEST_TEXT:
        raise BadInput(f"{where}: {written(filled)} is longer than {LONGEST_TEXT} characters; give a shorter one")
    return filled
