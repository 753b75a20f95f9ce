"""What a function that misses its reference may compute instead, simplest first.

Each is fitted to one failed draw and then has to hold on the others with the same numbers.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from harness.cell import Reference
from harness.errors import BadInput
from harness.inner import DifferentiableSolver
from harness.validation.case import Case
from harness.validation.report import Cause
from harness.validation.search import best_multiple

MATCH = 0.01
"""A hypothesis holds where its relative error is below this, and below this times that of the reference."""
SINGLE = 1e-3
"""Most that single precision can be blamed for."""
SEARCH_SIZE = 10_000
"""Most parameters for hypotheses that cost many gradients to fit."""
INNER_STEPS = 64
"""Inner iterates looked at where K is not known."""
LINEAR_STEPS = 100
"""Most CG iterates looked at."""

Point: TypeAlias = Callable[[Case], Tensor]


@dataclass(frozen=True)
class Hypothesis:
    """A cause, and the gradient that would be returned if it were the right one."""

    cause: Cause
    gradient: Callable[[Case], Tensor]


def likely_cause(vs: Reference, cases: Sequence[Case], tolerance: float) -> Cause | None:
    """The simplest hypothesis that explains every case within ``tolerance``, or else about as well as any does.

    ``None`` where none holds on all of them.
    """
    if not any(bool(case.returned.any()) for case in cases):
        return Cause("zero", "it is zero: is it detached from the graph?")
    variation = max(case.variation for case in cases)
    if variation > tolerance:
        line = f"two calls with the same input differ by {variation:.1e}: does it draw random numbers or keep a state?"
        return Cause("variation", line)
    held: list[tuple[float, Cause]] = []
    with suppress(BadInput):
        for hypothesis in hypotheses(vs, cases[0]):
            worst = _worst(hypothesis, cases)
            if worst is None:
                continue
            line = f"{hypothesis.cause.line}, to within {worst:.1e}"
            held.append((worst, replace(hypothesis.cause, line=line)))
            if worst <= tolerance:
                break
    best = min((worst for worst, _ in held), default=math.inf)
    return next((cause for worst, cause in held if worst <= max(10 * best, tolerance)), None)


def _worst(hypothesis: Hypothesis, cases: Sequence[Case]) -> float | None:
    """The largest relative error of the cases; ``None`` where one of them speaks against the hypothesis."""
    worst = 0.0
    for case in cases:
        try:
            distance = case.distance(hypothesis.gradient(case))
        except BadInput:
            return None
        if not distance <= MATCH * min(1.0, case.error):
            return None
        worst = max(worst, distance)
    return worst


def hypotheses(vs: Reference, case: Case) -> Iterator[Hypothesis]:
    """All of them for one reference, fitted to ``case``."""
    yield Hypothesis(Cause("sign", "wrong sign: it matches minus the reference"), lambda case: -case.reference)
    yield from _precision(case)
    if vs == "backprop" or case.steps:
        yield _first_order("φ_K", _last)
        cause = Cause("reptile", "it matches θ − φ_K, which is Reptile's direction and no gradient")
        yield Hypothesis(cause, lambda case: case.objective.theta - case.last)
    if vs == "implicit":
        yield _first_order("φ*", _minimiser)
    yield _factor(case)
    if vs == "backprop":
        yield from _of_backprop(case)
    else:
        yield from _of_implicit(case)
    line = "right direction, but a length that changes from draw to draw, as if it were normalised or clipped"
    yield Hypothesis(
        Cause("length", line), lambda case: case.reference * (case.returned.norm() / case.reference.norm())
    )


def _precision(case: Case) -> Iterator[Hypothesis]:
    single = bool((case.returned.float().double() == case.returned).all())
    if single and case.dtype == torch.float64 and case.error < SINGLE:
        cause = Cause("precision", "computed in single precision: every number it returned is one of float32")
        yield Hypothesis(cause, lambda case: case.returned.float().double())


def _first_order(where: str, point: Point) -> Hypothesis:
    line = f"first order only: it matches ∇L({where}), as if dφ/dθ were the identity"
    return Hypothesis(Cause("first-order", line), lambda case: case.query_gradient(point(case)))


def _factor(case: Case) -> Hypothesis:
    factor = float(case.returned.dot(case.reference) / case.reference.dot(case.reference))
    known = {"1/λ": 1.0, "λ": 1.0, "1/K": 1 / (case.steps or 1), "K": float(case.steps or 1), "α": case.lr}
    lam = case.loop.lam
    if not isinstance(lam, dict) and lam > 0:
        known |= {"λ": lam, "1/λ": 1 / lam}
    names = [name for name, value in known.items() if value != 1 and math.isclose(factor, value, rel_tol=1e-3)]
    line = f"a constant factor: it matches {factor:.4g}{f' (= {names[0]})' if names else ''} times the reference"
    return Hypothesis(Cause("factor", line), lambda case: case.reference * factor)


def _of_backprop(case: Case) -> Iterator[Hypothesis]:
    steps = case.loop.steps
    for other, words in ((steps - 1, "one inner step too few"), (steps + 1, "one inner step too many")):
        if other > 0:
            cause = Cause("steps", f"{words}: it matches backprop through K = {other} instead of {steps}")
            yield Hypothesis(cause, lambda case, other=other: case.backprop(steps=other))
    if case.objective.regularised:
        yield Hypothesis(
            Cause("proximal", "proximal term dropped: it matches backprop through the inner loop with λ = 0"),
            lambda case: case.backprop(multiple=0.0),
        )
        yield Hypothesis(
            Cause("detached", "θ taken for a constant in the proximal term: its own gradient there is missing"),
            Case.backprop_detached,
        )
    if case.regularised:
        for where, point in (("φ_K", _last), ("the exact inner solution", _minimiser)):
            line = f"the other method: it matches the implicit gradient at {where}, not backprop through K steps"
            yield Hypothesis(Cause("other-method", line), lambda case, point=point: case.system(point(case)).exact())
    if case.reference.numel() > SEARCH_SIZE:
        return
    if case.objective.regularised:
        multiple = best_multiple(lambda multiple: case.distance(case.backprop(multiple=multiple)))
        cause = Cause("lambda", f"λ: it matches {_lambda(case, multiple)}")
        yield Hypothesis(cause, lambda case: case.backprop(multiple=multiple))
    ratio = best_multiple(lambda ratio: case.distance(case.backprop(lr=case.lr * ratio)))
    cause = Cause("step-size", f"inner step size: it matches α = {ratio * case.lr:.4g} instead of {case.lr:.4g}")
    yield Hypothesis(cause, lambda case: case.backprop(lr=case.lr * ratio))


def _of_implicit(case: Case) -> Iterator[Hypothesis]:
    if case.steps and isinstance(case.loop.solver, DifferentiableSolver):
        line = f"the other method: it matches exact backprop through K = {case.steps} steps, not the implicit gradient"
        yield Hypothesis(Cause("other-method", line), Case.backprop)
    yield from _proximal(case)
    yield from _of_linear_solve(case, "", _minimiser)
    yield from _of_inner_loop(case)
    if case.steps:
        yield from _of_linear_solve(case, " at φ_K", _last)
    if case.reference.numel() <= SEARCH_SIZE:
        multiple = best_multiple(lambda multiple: case.distance(case.implicit(multiple)))
        cause = Cause("lambda", f"λ: it matches {_lambda(case, multiple)}")
        yield Hypothesis(cause, lambda case: case.implicit(multiple))
        other = best_multiple(lambda multiple: case.distance(case.implicit_at(multiple)))
        cause = Cause("inner-lambda", f"λ in the inner problem alone: it matches {_lambda(case, other)} there")
        yield Hypothesis(cause, lambda case: case.implicit_at(other))


def _proximal(case: Case) -> Iterator[Hypothesis]:
    cause = Cause("proximal", "proximal term dropped from the inner problem: it matches φ taken without it")
    if case.steps:

        def last(case: Case) -> Tensor:
            return case.loop.descend(case.scaled(0.0), case.lr).phi

        yield Hypothesis(cause, lambda case: case.system(last(case)).exact())


def _of_linear_solve(case: Case, where: str, point: Point) -> Iterator[Hypothesis]:
    """An inexact solve, or one of a system with another λ or scale, at a right φ."""
    returned, system = case.returned, case.system(point(case))
    most = LINEAR_STEPS if returned.numel() <= SEARCH_SIZE else LINEAR_STEPS // 5
    distances = {t: case.distance(x) for t, x in system.iterates(most)}
    if distances:
        best = min(distances, key=distances.__getitem__)
        cause = Cause("cg-steps", f"CG has not converged: it matches {best} CG step{'s' if best > 1 else ''}{where}")
        yield Hypothesis(cause, lambda case: case.system(point(case)).after(best))
    multiple = system.multiple(returned)
    if 0 < multiple < math.inf:
        cause = Cause("linear-lambda", f"λ in the linear system{where}: it matches {_lambda(case, multiple)} there")
        yield Hypothesis(cause, lambda case: case.system(point(case)).exact(multiple))
    scaled, factor = system.multiple_and_factor(returned)
    if 0 < scaled < math.inf and math.isfinite(factor):
        line = (
            f"λ in the linear system{where}, and a factor: it matches {factor:.4g} times {_lambda(case, scaled)} there"
        )
        yield Hypothesis(Cause("linear-lambda", line), lambda case: factor * case.system(point(case)).exact(scaled))


def _of_inner_loop(case: Case) -> Iterator[Hypothesis]:
    """The exact solve at an iterate φ_k, found by the one product that tells whether what was returned solves it."""
    most = max(case.steps or 0, INNER_STEPS) + 1 if case.reference.numel() <= SEARCH_SIZE else case.steps or 0
    residuals = {k: case.system(phi).residual(case.returned) for k, phi in case.iterates(case.objective, most)}
    if not residuals:
        return
    best = min(residuals, key=residuals.__getitem__)

    def iterate(case: Case) -> Tensor:
        return dict(case.iterates(case.objective, best))[best]

    line = f"inner problem not converged: it matches the exact solve at φ_k after k = {best} steps"
    yield Hypothesis(Cause("inner-steps", line), lambda case: case.system(iterate(case)).exact())


def _lambda(case: Case, multiple: float) -> str:
    lam = case.loop.lam
    if isinstance(lam, dict):
        return f"λ times {multiple:.4g}"
    found = multiple * lam
    more = f"{abs(found - lam):.4g} {'more' if found > lam else 'less'}"
    return f"λ = {found:.4g} instead of {lam:.4g} ({multiple:.4g} times that, or {more})"


def _minimiser(case: Case) -> Tensor:
    return case.minimiser


def _last(case: Case) -> Tensor:
    return case.last
