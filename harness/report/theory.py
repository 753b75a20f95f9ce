"""What theory says about linear regression, where the spectrum of every inner problem is known: its lines in figures.

The inner problem's Hessian is A + λI, with eigenvalues from 1/κ + λ to 1 + λ, so its condition number is
κ_G = (1 + λ)/(1/κ + λ).
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from harness.cell import Cell, Value
from harness.report.settings import Setting

DEFAULT_KAPPA = 100.0
"""κ of the problem where its cell leaves it out."""
DEFAULT_LAM: Mapping[str, float] = dict.fromkeys(
    ("imaml-cg", "imaml-neumann", "imaml-nystrom", "imaml-minres", "imaml-dense", "darts-fd"), 1.0
)
"""λ of the estimators that have one where their cells leave it out; of others it is 0."""
POINTS = 24
"""A line is drawn through this many points between two neighbouring values."""


@dataclass(frozen=True)
class Line:
    """A law, drawn dashed."""

    label: str
    points: Mapping[float, float]


def conditioning(cell: Cell) -> float | None:
    """κ_G of the cell's inner problem; ``None`` where it is not known."""
    return _conditioning(cell.problem.name, _parameters(cell))


def strength(cell: Cell) -> Value:
    """λ of the cell's estimator."""
    return cell.estimator.parameters.get("lam", DEFAULT_LAM.get(cell.estimator.name, 0.0))


def lines(setting: Setting, metric: str) -> list[Line]:
    """The law that bears on errors against the implicit gradient in a setting, if it is one for all its estimators.

    Over K, κ and λ, (1 − 1/κ_G)^K: the part of the inner error ‖φ − φ*‖ that K steps of gradient descent of step size
    1/(λ_max + λ) may leave. Over CG steps t, 2√κ_G ((√κ_G − 1)/(√κ_G + 1))^t: what t steps may leave of the linear
    system's error, relative to its solution.
    """
    name, values = setting.variable.name, setting.values()
    cells = [m.cell for m in setting.measurements if name != "cg_steps" or name in m.cell.estimator.parameters]
    contexts = {json.dumps(_context(cell, name)) for cell in cells}
    if metric != "implicit_relative_error" or name not in _LAWS or not values or len(contexts) != 1:
        return []
    if not all(name == "cg_steps" or _plain_descent(cell) for cell in cells):
        return []
    label, law = _LAWS[name]
    points: dict[float, float] = {}
    for x in _between(values):
        kappa = _conditioning(cells[0].problem.name, {**_parameters(cells[0]), name: x})
        if kappa is not None:
            points[x] = law(kappa, x if name in _COUNTS else cells[0].steps)
    return [Line(label, points)] if points else []


def descent(kappa: float, steps: float) -> float:
    """(1 − 1/κ)^K."""
    return (1 - 1 / kappa) ** steps


def chebyshev(kappa: float, steps: float) -> float:
    """2√κ ((√κ − 1)/(√κ + 1))^t, and 1 at most: CG begins at 0."""
    root = math.sqrt(kappa)
    return min(1.0, 2 * root * ((root - 1) / (root + 1)) ** steps)


_DESCENT = ("theory: (1 − 1/κ_G)^K", descent)
_LAWS: dict[str, tuple[str, Callable[[float, float], float]]] = {
    "steps": _DESCENT,
    "kappa": _DESCENT,
    "lam": _DESCENT,
    "cg_steps": ("theory: CG at most 2√κ_G ((√κ_G − 1)/(√κ_G + 1))^t", chebyshev),
}
_COUNTS = ("steps", "cg_steps")
"""What is varied where the law's exponent is."""


def _parameters(cell: Cell) -> dict[str, Value]:
    return {**cell.problem.parameters, **cell.estimator.parameters, "lam": strength(cell)}


def _context(cell: Cell, variable: str) -> list[Value]:
    """What a law depends on besides the variable: κ, λ, and K unless it is the variable."""
    given = {"kappa": DEFAULT_KAPPA, **_parameters(cell), variable: 0.0}
    return [given["kappa"], given["lam"], 0 if variable in _COUNTS else cell.steps]


def _conditioning(problem: str, parameters: Mapping[str, Value]) -> float | None:
    kappa, lam = parameters.get("kappa", DEFAULT_KAPPA), parameters["lam"]
    if problem != "linear" or not isinstance(kappa, int | float) or not isinstance(lam, int | float):
        return None
    return (1 + lam) / (1 / kappa + lam) if kappa >= 1 and lam >= 0 else None


def _plain_descent(cell: Cell) -> bool:
    """Whether the inner solver is gradient descent of about the step size the law is for."""
    given = cell.estimator.parameters
    lam, lr = strength(cell), given.get("lr")
    if given.get("inner", "gd") != "gd" or not isinstance(lam, int | float):
        return False
    return lr == "auto" or (isinstance(lr, int | float) and math.isclose(lr, 1 / (1 + lam), rel_tol=1e-3))


def _between(values: list[float]) -> list[float]:
    """The values, and more between them on a logarithmic scale."""
    more = [low * (high / low) ** (part / POINTS) for low, high in pairwise(values) for part in range(POINTS)]
    return [*more, values[-1]]
