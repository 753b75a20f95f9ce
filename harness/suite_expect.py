"""``[[expect]]``: what a suite file may claim, and how it becomes an expectation."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from harness.cell import METRICS, Dtype, Part, Pass, Reference, Status, Value, metric_of
from harness.checks import is_number
from harness.errors import BadInput, unknown
from harness.expectation import Bounds, ClaimedLaw, Expectation, is_measured_by
from harness.suite_values import Parameter, Table, Text, Texts, known, listed, without_repeats, written
from harness.units import parse_bytes


def _number_or_size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{written(value)} is not a number, nor a size such as '24 MB'")
    if not isinstance(value, str) and not math.isfinite(value):
        raise ValueError(f"{written(value)} is not a finite number")
    return value


Number = Annotated[Any, BeforeValidator(_number_or_size)]
"""A string is a size: "24 MB"."""


class BoundsTable(Table):
    """``{ min = 1, max = 2 }``, or ``{ equals = 3, within = 0.01 }``."""

    min: Number | None = None
    max: Number | None = None
    equals: Number | None = None
    within: float | None = None
    """Largest distance from ``equals``, relative to it."""


class ExpectTable(BoundsTable):
    """A claim: which cells, and what of them. Bounds beside it are those of every cell's number."""

    claim: Text | None = None
    estimator: Texts = ()
    study: Text | None = None
    at: dict[str, Parameter] = Field(default_factory=dict[str, Any])
    metric: Annotated[str, known("metric", lambda: METRICS)] | None = None
    ratio_to: Text | None = None
    law: Annotated[ClaimedLaw, known("law", lambda: get_args(ClaimedLaw))] | None = None
    slope: BoundsTable | None = None
    exponent: BoundsTable | None = None
    status: Annotated[
        tuple[Annotated[Status, Field(strict=False), known("status", lambda: list(Status))], ...],
        BeforeValidator(listed),
    ] = ()


@dataclass(frozen=True)
class Grid:
    """All cells of a study on one device: every combination of what is here."""

    study: str
    """Its title."""
    problems: Sequence[Part]
    estimators: Sequence[tuple[str, Part]]
    """With what the study calls them."""
    steps: Sequence[int]
    tasks: Sequence[int]
    dtypes: Sequence[Dtype]
    passes: tuple[Pass, ...]
    references: tuple[Reference, ...]

    def __bool__(self) -> bool:
        """Whether it has cells."""
        return all((self.problems, self.estimators, self.steps, self.tasks, self.dtypes))

    def names(self) -> set[str]:
        """What its estimators are called."""
        return {name for label, part in self.estimators for name in (label, part.name)}

    def of(self, estimators: Collection[str]) -> "Grid":
        """The cells of these estimators, by name or label."""
        kept = [(label, part) for label, part in self.estimators if label in estimators or part.name in estimators]
        return replace(self, estimators=kept)

    def parameters(self) -> set[str]:
        """Names of the parameters that some cell has."""
        return {name for part in self._parts() for name in part.parameters} if self else set()

    def values(self, name: str) -> list[Value]:
        """The cells' values of an axis, where they have it."""
        if not self:
            return []
        if name in _AXES:
            return list(getattr(self, _AXES[name]))
        parts = self.problems if self._is_of_problem(name) else [part for _, part in self.estimators]
        return [part.parameters[name] for part in parts if name in part.parameters]

    def at(self, name: str, values: Collection[Value]) -> "Grid":
        """The cells with one of these values of an axis."""
        if name in _AXES:
            return replace(self, **{_AXES[name]: [each for each in getattr(self, _AXES[name]) if each in values]})
        if self._is_of_problem(name):
            return replace(self, problems=[part for part in self.problems if part.parameters[name] in values])
        kept = [(label, part) for label, part in self.estimators if part.parameters.get(name) in values]
        return replace(self, estimators=kept)

    def measures(self, metric: str) -> bool:
        """Whether a pass over some of the cells measures it."""
        return bool(self) and any(is_measured_by(metric, self.passes, self.references, each) for each in self.dtypes)

    def _parts(self) -> list[Part]:
        return [*self.problems, *(part for _, part in self.estimators)]

    def _is_of_problem(self, name: str) -> bool:
        return any(name in part.parameters for part in self.problems)


_AXES = {"steps": "steps", "tasks": "tasks", "dtype": "dtypes"}


def expectations(tables: Sequence[ExpectTable], grids: Sequence[Grid], path: str) -> tuple[Expectation, ...]:
    """The claims of a suite's tables.

    Args:
        tables: In the file's order.
        grids: Every cell the suite has on any device: a claim must be about some of them.
        path: The file, to begin a message with.

    Raises:
        BadInput: A claim demands nothing, or something that cannot be told or is not fit for a gate; it names an
            estimator, study, axis or value that the suite does not have, or a metric it does not measure.
    """
    known_names = {name for grid in grids for name in grid.names()} if tables else set[str]()
    return tuple(
        _expectation(table, grids, known_names, f"{path}: expect[{index}]") for index, table in enumerate(tables)
    )


def _expectation(table: ExpectTable, grids: Sequence[Grid], every: Collection[str], where: str) -> Expectation:
    _require_demand(table, where)
    unit = metric_of(table.metric).unit if table.metric else "1"
    found = Expectation(
        claim="",
        estimators=table.estimator,
        study=table.study,
        at={name: _values(value) for name, value in table.at.items()},
        metric=table.metric,
        ratio_to=table.ratio_to,
        value=_bounds(table, "1" if table.ratio_to else unit, where),
        law=table.law,
        slope=_bounds(table.slope, unit, f"{where}.slope"),
        exponent=_bounds(table.exponent, "1", f"{where}.exponent"),
        status=without_repeats(table.status),
    )
    _require_cells(found, grids, every, where)
    return found.model_copy(update={"claim": table.claim or found.words()})


def _require_demand(table: ExpectTable, where: str) -> None:
    bounds = any(each is not None for each in (table.min, table.max, table.equals))
    in_steps = {"law": table.law, "slope": table.slope, "exponent": table.exponent}
    over_steps = next((name for name, value in in_steps.items() if value is not None), None)
    if table.status and not (table.metric or table.ratio_to or bounds or over_steps):
        return
    if table.status and Status.OK not in table.status:
        raise BadInput(f"{where}.status: beside a metric it says how cells may end, so 'ok' is among them")
    if table.metric is None:
        raise BadInput(f"{where}.metric: missing")
    if not bounds and over_steps is None:
        raise BadInput(f"{where}: nothing is demanded; say min, max, equals, law, slope, exponent or status")
    if table.ratio_to and over_steps:
        raise BadInput(f"{where}.{over_steps}: a ratio takes min, max or equals only")
    if not table.ratio_to and not METRICS[table.metric].deterministic:
        raise BadInput(f"{where}.metric: '{table.metric}' differs from run to run; gate it as a ratio (add ratio_to)")


def _bounds(table: BoundsTable | None, unit: str, where: str) -> Bounds | None:
    if table is None:
        return None
    low, high, middle = (_number(getattr(table, name), unit, f"{where}.{name}") for name in ("min", "max", "equals"))
    if table.within is not None and (middle is None or not is_number(table.within) or table.within < 0):
        raise BadInput(f"{where}.within: goes with equals, and is a finite number, at least 0")
    if middle is not None:
        if (low, high) != (None, None):
            raise BadInput(f"{where}.equals: goes with within, not with min and max")
        room = abs(middle) * (table.within or 0.0)
        low, high = middle - room, middle + room
    if low is not None and high is not None and low > high:
        raise BadInput(f"{where}.min: {written(table.min)} is above max = {written(table.max)}")
    if low is None and high is None:
        if isinstance(table, ExpectTable):
            return None
        raise BadInput(f"{where}: say min, max or equals")
    return Bounds(min=low, max=high)


def _number(value: Number | None, unit: str, where: str) -> float | None:
    if not isinstance(value, str):
        return value
    if unit != "B":
        raise BadInput(f"{where}: {written(value)} is not a number")
    try:
        return float(parse_bytes(value))
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


def _values(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _require_cells(of: Expectation, grids: Sequence[Grid], every: Collection[str], where: str) -> None:
    """Narrow the suite's cells condition by condition, so that the first one none of them meets is named."""
    for key, given in (("estimator", of.estimators), ("ratio_to", (of.ratio_to,) if of.ratio_to else ())):
        for name in given:
            if name not in every:
                raise BadInput(f"{where}.{key}: {unknown('estimator of the suite', name, every)}")
    titles = {grid.study for grid in grids if grid.study}
    if of.study is not None and of.study not in titles:
        why = unknown("study", of.study, titles) if titles else "the suite has no [[study]] table"
        raise BadInput(f"{where}.study: {why}")
    left = [grid for grid in grids if of.study in (None, grid.study)]
    left = [grid.of(of.estimators) for grid in left] if of.estimators else left
    for name, values in of.at.items():
        axes = {*_AXES}.union(*(grid.parameters() for grid in left))
        if name not in axes:
            raise BadInput(f"{where}.at: {unknown('axis', name, axes)}")
        there = [each for grid in left for each in grid.values(name)]
        for value in values:
            if value not in there:
                listed = ", ".join(dict.fromkeys(map(written, there)))
                raise BadInput(f"{where}.at.{name}: no cell has {written(value)}; there are {_cut(listed)}")
        left = [grid.at(name, values) for grid in left]
    if of.metric is not None and not any(grid.measures(of.metric) for grid in left):
        what = ", ".join(of.estimators) or "any estimator"
        raise BadInput(f"{where}.metric: no pass or reference of [measure] gives '{of.metric}' of {what}")
    if of.ratio_to and not any(grid and of.ratio_to in whole.names() for grid, whole in _beside(left, grids)):
        raise BadInput(f"{where}.ratio_to: no cell of '{of.ratio_to}' has the problem and inner steps of another's")


def _beside(left: Sequence[Grid], grids: Sequence[Grid]) -> Iterable[tuple[Grid, Grid]]:
    """What is left of the studies with all that they had: the points of a study's grid have all of its estimators."""
    return ((grid, whole) for grid in left for whole in grids if whole.study == grid.study)


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:197]}..."
