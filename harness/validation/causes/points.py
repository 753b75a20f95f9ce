"""Where a function may have solved the implicit method's linear system."""

from collections.abc import Iterator

from torch import Tensor

from harness.errors import BadInput
from harness.references import inner_minimiser
from harness.validation.case import Case, Point
from harness.validation.causes.solvers import others

SEARCH_SIZE = 10_000
"""Most parameters for hypotheses that cost many gradients to fit."""
INNER_STEPS = 64
"""Inner iterates looked at where K is not known."""

CONVERGED = 1e-10
"""Distance of φ_K and φ*, relative to that from θ, at which they are one point."""

MINIMISER = Point("", lambda case: case.minimiser)
LAST = Point(" at φ_K", lambda case: case.last)
THETA = Point(" at θ, before any inner step", lambda case: case.objective.theta)
UNREGULARISED = Point(" at φ_K taken without the proximal term", lambda case: case.descend(case.scaled(0.0)))


def _one_proximal_step(case: Case) -> Tensor:
    phi, objective = UNREGULARISED.phi(case), case.objective
    return phi - case.lr * objective.lam * (phi - objective.theta)


PULLED_BACK = Point(" at φ_K taken without the proximal term but for one step along it alone", _one_proximal_step)
LAST_TOWARDS_ZERO = Point(
    " at φ_K with the proximal term towards 0 instead of θ", lambda case: case.descend(case.towards_zero())
)
TOWARDS_ZERO = Point(
    " at the inner solution with the proximal term towards 0 instead of θ",
    lambda case: inner_minimiser(case.towards_zero()),
)


def likely_points(case: Case) -> Iterator[Point]:
    """Those at which inexact and wrong solves are looked for, as far as there are such points."""
    if not case.regularised:
        return
    points = [UNREGULARISED, PULLED_BACK] if case.steps and case.vs == "implicit" else []
    if case.steps and not _converged(case):
        points.append(LAST)
    yield from (each for each in (*points, MINIMISER) if _exists(each, case))


def _exists(point: Point, case: Case) -> bool:
    try:
        point.phi(case)
    except (BadInput, RuntimeError):  # a momentum that needs strong convexity, say, where there is none
        return False
    return True


def _converged(case: Case) -> bool:
    """Whether φ_K and φ* are one point."""
    try:
        minimiser = case.minimiser
    except BadInput:
        return False
    moved = float((minimiser - case.objective.theta).norm())
    return float((case.last - minimiser).norm()) <= CONVERGED * moved


def wrong_points(case: Case) -> Iterator[tuple[str, Point]]:
    """Those at which an exact solve is wrong, with the kind of cause."""
    if case.vs != "implicit" or not case.regularised:
        return
    if case.steps:
        yield "proximal", UNREGULARISED
        yield "proximal", PULLED_BACK
        yield "proximal-centre", LAST_TOWARDS_ZERO
        for spec, words in others(case):
            yield (
                "inner-solver",
                Point(f" at φ_K of {words}", lambda case, spec=spec: case.descend(case.objective, spec)),
            )
    yield "proximal-centre", TOWARDS_ZERO
    yield "inner-loop", THETA
