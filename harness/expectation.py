"""What a suite claims of its numbers, as it is stored in a run."""

from collections.abc import Collection, Hashable
from typing import Literal, TypeAlias

from pydantic import Field

from harness.cell import Cell, Dtype, Model, Pass, Reference, Status, Value, metric_of
from harness.units import quantity

ClaimedLaw: TypeAlias = Literal["flat", "linear", "superlinear", "sublinear"]


class Bounds(Model):
    """Where a number has to lie, the ends included."""

    min: float | None = None
    max: float | None = None

    def words(self, unit: str) -> str:
        """As in "at most 24.0 MB"."""
        if self.min is None or self.max is None:
            end, word = (self.max, "at most") if self.min is None else (self.min, "at least")
            return f"{word} {quantity(end or 0.0, unit)}"
        if self.min == self.max:
            return f"exactly {quantity(self.min, unit)}"
        return f"{quantity(self.min, unit)} to {quantity(self.max, unit)}"


class Expectation(Model):
    """A claim of the suite: which cells it is about, and what is demanded of them."""

    claim: str
    """In words."""
    estimators: tuple[str, ...] = ()
    """Names or labels; empty for all."""
    study: str | None = None
    at: dict[str, tuple[Value, ...]] = Field(default_factory=dict[str, tuple[Value, ...]])
    """Values of the cells' axes and parameters, by name; of those that are not here, all."""
    metric: str | None = None
    """None of a claim about how the cells end."""
    ratio_to: str | None = None
    """Name or label of the estimator whose number, at the same point of the grid, the cell's is divided by."""
    value: Bounds | None = None
    """Of every cell's median."""
    law: ClaimedLaw | None = None
    """In the number of inner steps, as the two below: of every estimator's configuration and setting."""
    slope: Bounds | None = None
    exponent: Bounds | None = None
    status: tuple[Status, ...] = ()
    """How cells have to end; of a claim about a metric, how they may: those without a number are then left out."""

    @property
    def unit(self) -> str:
        """Of the numbers ``value`` bounds."""
        return "1" if self.metric is None or self.ratio_to else metric_of(self.metric).unit

    def words(self) -> str:
        """The claim, where the suite does not word it: "maml: peak_bytes is linear"."""
        demands = [
            *([f"is {self.law}"] if self.law else []),
            *([f"is {self.value.words(self.unit)}"] if self.value else []),
            *([f"has a slope of {self.slope.words(self.unit)} a step"] if self.slope else []),
            *([f"has an exponent of {self.exponent.words('1')}"] if self.exponent else []),
            *([f"ends {' or '.join(self.status)}"] if self.status and self.metric is None else []),
        ]
        what = [*([self.metric] if self.metric else []), *([f"over that of {self.ratio_to}"] if self.ratio_to else [])]
        return f"{', '.join(self.estimators) or 'every estimator'}: {' '.join([*what, ' and '.join(demands)])}"

    def selects(self, cell: Cell) -> bool:
        """Whether the claim is about the cell."""
        return (
            (not self.estimators or not names(cell).isdisjoint(self.estimators))
            and (self.study is None or self.study in {study.title for study in cell.studies})
            and all(axis(cell, name) in values for name, values in self.at.items())
            and (self.metric is None or is_measured(cell, self.metric))
        )

    def is_reference(self, cell: Cell, of: Cell) -> bool:
        """Whether the numbers of ``of`` are to be divided by the cell's."""
        shared = {study.title for study in cell.studies} & {study.title for study in of.studies}
        comparable = shared or not (cell.studies and of.studies)
        return self.ratio_to in names(cell) and bool(comparable) and setting(cell) == setting(of)


def names(cell: Cell) -> set[str]:
    """What the cell's estimator is called."""
    return {cell.estimator.name, cell.label, *(study.label for study in cell.studies)}


def axis(cell: Cell, name: str) -> Value | None:
    """The cell's inner steps, tasks or dtype, or a parameter the suite gave it; None where it has none."""
    return getattr(cell, name) if name in ("steps", "tasks", "dtype") else cell.stated(name)


def is_measured(cell: Cell, metric: str) -> bool:
    """Whether the cell's passes are to measure the metric."""
    return is_measured_by(metric, cell.measure, cell.references, cell.dtype)


def is_measured_by(metric: str, passes: Collection[Pass], references: Collection[Reference], dtype: Dtype) -> bool:
    """Whether passes over a cell of a dtype are to measure the metric."""
    of = metric_of(metric)
    if metric == "rounding_relative_error" and dtype == "float64":
        return False
    by_a_pass = not of.passes or any(each in passes for each in of.passes)
    return by_a_pass and (of.reference is None or of.reference in references)


def setting(cell: Cell) -> Hashable:
    """What two cells share whose numbers may be divided by each other."""
    return (cell.problem, cell.steps, cell.tasks, cell.dtype, cell.device, cell.threads, cell.seed, cell.draws)
