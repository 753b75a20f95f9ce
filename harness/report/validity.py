"""Where the implicit method's premises hold: the inner problem solved, and H + λI positive definite there."""

import math

from harness.cell import Measurement, Status
from harness.report.settings import Setting
from harness.report.theory import conditioning
from harness.report.words import listed, quoted
from harness.units import number

SOLVED = 1e-6
"""Inner residual up to which the inner problem is called solved."""
CURVATURES = ("negative_curvature", "smallest_curvature")
"""Metrics that tell whether H + λI is positive definite."""


def is_implicit(estimator: str) -> bool:
    """Whether the estimator of this name is an implicit method."""
    return estimator.startswith("imaml")


def unchecked(setting: Setting) -> list[Measurement]:
    """The implicit methods' cells of a setting in which nothing tells whether H + λI is positive definite.

    None of a problem whose spectrum is known, where it is by construction.
    """
    cells = [each for each in setting.measurements if each.status is Status.OK]
    if any(each.metrics.get(name) for each in cells for name in CURVATURES):
        return []
    return [each for each in cells if is_implicit(each.cell.estimator.name) and not conditioning(each.cell)]


def negative_curvature(setting: Setting) -> str | None:
    """Where CG met negative curvature."""
    clauses: list[str] = []
    for curve in setting.curves:
        met = [value for value, flags in curve.samples("negative_curvature").items() if any(flags)]
        if met:
            clauses.append(f"{quoted(curve.label)} at {curve.variable.at(*met)}")
    if not clauses:
        return None
    return (
        f"Negative curvature was met by {listed(clauses)}: there I + H/λ is not positive definite, "
        "though the implicit method presumes it."
    )


def in_question(setting: Setting) -> bool:
    """Whether implicit methods were measured on a problem that is not known to meet their premise."""
    implicit = any(curve.points("smallest_curvature") for curve in setting.curves)
    return implicit and not all(conditioning(m.cell) for m in setting.measurements)


def validity(setting: Setting) -> list[str]:
    """The smallest eigenvalue of H + λI over all seeds, and how nearly the inner problem is solved at the end."""
    least: dict[float, float] = {}
    for curve in setting.curves:
        for value, samples in curve.samples("smallest_curvature").items():
            least[value] = min(*samples, least.get(value, math.inf))
    return [sentence for sentence in (_curvature(setting, least), _residual(setting)) if sentence] if least else []


def _curvature(setting: Setting, least: dict[float, float]) -> str:
    where = min(least, key=lambda value: least[value])
    lowest = f"{number(least[where], digits=2)} (at {setting.variable.at(where)})"
    in_doubt = sorted(value for value, smallest in least.items() if smallest <= 0)
    if not in_doubt:
        return (
            f"The smallest eigenvalue of H + λI, estimated from below, is {lowest} or more in every seed, above 0: "
            "the implicit gradient is defined everywhere measured."
        )
    return (
        f"The smallest eigenvalue of H + λI, estimated from below, comes down to {lowest}; in some seed it is not "
        f"above 0 at {setting.variable.at(*in_doubt)}: there the implicit method's premise is in doubt."
    )


def _residual(setting: Setting) -> str | None:
    points = [curve.points("inner_residual") for curve in setting.curves if curve.points("smallest_curvature")]
    last = max((value for by_value in points for value in by_value), default=None)
    if last is None or setting.variable.name == "evaluations":
        return None
    worst = max(by_value[last].median for by_value in points if last in by_value)
    solved = "so the inner problem is solved" if worst <= SOLVED else "so the inner problem is not solved to 1e-6"
    return f"The inner residual at {setting.variable.at(last)} is {number(worst, digits=2)} (median), {solved}."
