"""What a claim calls the cells it is about."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.cell import Measurement, varied
from harness.expectation import Expectation, axis


@dataclass(frozen=True)
class Places:
    """Names of the cells a claim is about."""

    claim: Expectation
    several_problems: bool
    varied: tuple[str, ...]
    """What tells them apart besides estimator and K: tasks, dtype and parameters of the problem that differ."""

    @classmethod
    def among(cls, claim: Expectation, about: Sequence[Measurement]) -> "Places":
        """The names, where the claim is about these cells."""
        cells = [each.cell for each in about]
        problems = [cell.problem for cell in cells]
        axes = [name for name in ("tasks", "dtype") if len({getattr(cell, name) for cell in cells}) > 1]
        return cls(claim, len({each.name for each in problems}) > 1, (*varied(problems), *axes))

    def name(self, measurement: Measurement, steps: str = "") -> str:
        """Of a cell: its estimator, K, and what tells it from the others besides.

        Args:
            measurement: The cell's.
            steps: Said in place of its K, where several cells are meant that differ in K.
        """
        cell, of = measurement.cell, self.claim
        axes = [study.x for study in cell.studies if study.title == of.study]
        axes += [name for name, values in of.at.items() if len(values) > 1]
        values = {name: axis(cell, name) for name in (*axes, *self.varied) if name != "steps"}
        facts = [f"{name} = {value}" for name, value in values.items() if value is not None]
        problem = [cell.problem.name] if self.several_problems else []
        return ", ".join([self._label(measurement), steps or f"K = {cell.steps}", *problem, *facts])

    def _label(self, measurement: Measurement) -> str:
        """What the claim's study, or the suite, calls the cell's estimator."""
        studies = measurement.cell.studies
        labels = (each.label for each in studies if self.claim.study in (None, each.title))
        return next(labels, measurement.cell.label)
