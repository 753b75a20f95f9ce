"""Where the exact unrolled gradient is nearer to the implicit one than the implicit methods are, at equal K or work."""

import math
from collections.abc import Mapping

from harness.cell import Value
from harness.report.settings import Curve, Setting
from harness.report.theory import strength
from harness.report.variables import Variable
from harness.report.words import names, quoted

METRIC = "implicit_relative_error"
UNROLLED = ("maml", "maml-checkpoint", "maml-replay")
IMPLICIT = ("imaml-cg", "imaml-dense", "imaml-minres", "imaml-neumann", "imaml-nystrom")
MARGIN = 1.05
"""Least ratio of two errors of which one is called the smaller."""
ROUNDING = 1e-13
"""Errors below this are rounding's, and neither is called the smaller."""


ALIKE = "as near as"
_INNER: dict[str, Value] = {"inner": "gd", "lr": 0.01, "tol": 0.0}
"""What makes the inner solver, and what it is where an estimator does not say."""


def crossover(setting: Setting) -> list[str]:
    """A sentence for each way implicit methods compare with MAML of the same inner solver, over K and over work.

    Over work, MAML's error between two of its points is taken from the straight line between the logarithms of both.
    """
    if setting.variable.is_parameter:
        return []
    alike: dict[str, list[str]] = {}
    for curve in (each for each in setting.curves if each.estimator in IMPLICIT):
        rival = next((each for each in setting.curves if each.estimator in UNROLLED and _comparable(each, curve)), None)
        if rival and (words := _compared(curve, rival)):
            alike.setdefault(words, []).append(curve.label)
    equal = "equal K" if setting.variable.name == "steps" else "equal work"
    return [f"At {equal}, {names(labels)}: {words}." for words, labels in alike.items()]


def at(points: Mapping[float, float], value: float) -> float | None:
    """The error at ``value`` by its logarithm's straight line between neighbours; ``None`` beyond the points."""
    below = max((x for x in points if x <= value), default=None)
    above = min((x for x in points if x >= value), default=None)
    if below is None or above is None or min(points[below], points[above]) <= 0:
        return None
    if below == above:
        return points[below]
    share = (value - below) / (above - below)
    return math.exp((1 - share) * math.log(points[below]) + share * math.log(points[above]))


def _comparable(one: Curve, other: Curve) -> bool:
    """Whether two curves' inner problems are solved in the same way."""
    first, second = (curve.measurements[0].cell for curve in (one, other))
    ours, theirs = first.estimator.parameters, second.estimator.parameters
    same_solver = all(ours.get(name, default) == theirs.get(name, default) for name, default in _INNER.items())
    return same_solver and strength(first) == strength(second)


def _compared(curve: Curve, rival: Curve) -> str | None:
    """Who is nearer where, in runs of neighbouring values."""
    maml = rival.medians(METRIC)
    runs: list[tuple[str, list[float]]] = []
    for value, error in curve.medians(METRIC).items():
        other = at(maml, value)
        if other is None:
            continue
        verdict = _verdict(error, other)
        if runs and runs[-1][0] == verdict:
            runs[-1][1].append(value)
        else:
            runs.append((verdict, [value]))
    if all(verdict == ALIKE for verdict, _ in runs):
        return None
    name = quoted(rival.label)
    return "; ".join(f"{verdict} {name} {_span(values, curve.variable)}" for verdict, values in runs)


def _span(values: list[float], variable: Variable) -> str:
    """The range in words: "from K = 1 to 25", "at 52 gradient evaluations"."""
    if len(values) == 1:
        return f"at {variable.at(*values)}"
    return f"from {variable.between(values[0], values[-1])}"


def _verdict(error: float, other: float) -> str:
    if max(error, other) < ROUNDING or max(error, other) < MARGIN * min(error, other):
        return ALIKE
    return "nearer to the exact implicit gradient than" if error < other else "farther off than"
