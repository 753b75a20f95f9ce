"""What figures are drawn over: inner steps, tasks, work, or a parameter."""

from dataclasses import dataclass

from harness.cell import Measurement
from harness.report.words import listed
from harness.units import number

HVP_GRADIENTS = 2
"""Gradients that a Hessian-vector product is counted as: by double backward it costs about two."""

_PARAMETERS = {
    "tasks": ("tasks of the meta-batch", "{} tasks"),
    "kappa": ("condition number κ of the support set's Hessian", "κ = {}"),
    "lam": ("proximal strength λ", "λ = {}"),
    "cg_steps": ("CG steps", "{} CG steps"),
    "lr": ("inner step size α", "α = {}"),
}
"""Title of the axis, and a value in a sentence."""


@dataclass(frozen=True)
class Variable:
    """A quantity that cells have a value of."""

    name: str
    """``steps``, ``tasks``, ``evaluations``, or that of a parameter."""

    @property
    def title(self) -> str:
        """Of the axis."""
        if self.name == "steps":
            return "inner steps K"
        if self.name == "evaluations":
            return f"gradient evaluations (HVP counted as {HVP_GRADIENTS})"
        return _PARAMETERS.get(self.name, (self.name, ""))[0]

    @property
    def is_parameter(self) -> bool:
        """Whether the suite sets it beside K, which is then not what the figure is about."""
        return self.name not in ("steps", "evaluations")

    def of(self, measurement: Measurement) -> float | None:
        """The cell's value; ``None`` where it has none."""
        cell = measurement.cell
        if self.name == "steps":
            return cell.steps
        if self.name == "tasks":
            return cell.tasks
        if self.name == "evaluations":
            return evaluations(measurement)
        value = cell.stated(self.name)
        return value if isinstance(value, int | float) else None

    def at(self, *values: float) -> str:
        """Values of it, in a sentence: "K = 1, 2 and 4"."""
        return self._form(len(values) == 1 and values[0] == 1).format(listed(map(written, values)))

    def between(self, first: float, last: float) -> str:
        """A range of it, in a sentence: "K = 1 to 4"."""
        return self._form(one=False).format(f"{written(first)} to {written(last)}")

    def _form(self, one: bool) -> str:
        if self.name == "steps":
            return "K = {}"
        if self.name == "evaluations":
            return "{} gradient evaluations"
        form = _PARAMETERS.get(self.name, ("", f"{self.name} = {{}}"))[1]
        return form.removesuffix("s") if one and self.name in ("cg_steps", "tasks") else form


def written(value: float) -> str:
    """A value as a suite would have it: "0.05", "1,000"."""
    return number(value) if value == int(value) else f"{value:g}"


STEPS = Variable("steps")
TASKS = Variable("tasks")


def evaluations(measurement: Measurement) -> float | None:
    """The cell's work in gradient evaluations: gradients, and Hessian-vector products at :data:`HVP_GRADIENTS` each.

    Those spent on choosing ``lr = "auto"`` are left out: they are the same for all.
    """
    gradients, hvps = (measurement.metrics.get(name) for name in ("gradient_count", "hvp_count"))
    return gradients[0] + HVP_GRADIENTS * hvps[0] if gradients and hvps else None
