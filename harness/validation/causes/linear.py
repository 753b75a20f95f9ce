"""The implicit method's linear system: at the wrong φ, with a wrong sign or λ, or solved inexactly."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.references import inner_minimiser
from harness.validation.case import Case, Point
from harness.validation.causes.points import INNER_STEPS, LAST, SEARCH_SIZE, likely_points, wrong_points
from harness.validation.causes.scale import Scale
from harness.validation.hypothesis import Hypothesis
from harness.validation.report import Cause
from harness.validation.system import Krylov, System
from harness.validation.words import apart, lambda_words, times

WRONG_SIGN = 1e-6
"""Distance from −1 at which a multiple of λ is a wrong sign."""
TERMS = 200
"""Most terms of a Neumann series with an η of its own."""
ZOOMS = 10
"""Grids of η laid one into the other, a twentieth as wide each."""


def exact_solves(case: Case) -> Iterator[Hypothesis]:
    """The exact solve at a φ that is not the inner solution."""
    if case.vs == "implicit" and case.steps:
        line = f"inner problem not converged: it matches the exact solve at φ_k after k = {case.steps} steps"
        yield Hypothesis(Cause("inner-steps", line), lambda case: case.system(LAST).exact())
    for kind, point in wrong_points(case):
        cause = Cause(kind, f"{_WRONG[kind]}: it matches the exact solve{point.where}")
        yield Hypothesis(cause, lambda case, point=point: case.system(point).exact())


_WRONG = {
    "proximal": "proximal term dropped from the inner problem",
    "proximal-centre": "proximal term towards 0 instead of θ",
    "inner-solver": "another inner solver",
    "inner-loop": "no inner loop",
}


def sign(case: Case) -> Iterator[Hypothesis]:
    """(I − H/λ) x = g."""
    for point in likely_points(case):
        cause = Cause("system-sign", f"wrong sign in the linear system{point.where}: it matches (I − H/λ) x = ∇L")
        yield Hypothesis(cause, lambda case, point=point: case.system(point).exact(-1.0))


def iterate(case: Case) -> Iterator[Hypothesis]:
    """The exact solve at an iterate φ_k, found by the one product that tells whether what was returned solves it."""
    if case.vs != "implicit" or not case.regularised:
        return
    most = max(case.steps or 0, INNER_STEPS) + 1 if case.reference.numel() <= SEARCH_SIZE else case.steps or 0
    residuals = {k: case.system_at(phi).residual(case.returned) for k, phi in case.iterates(most)}
    if not residuals:
        return
    best = min(residuals, key=residuals.__getitem__)
    if best == case.steps:
        return
    line = f"inner problem not converged: it matches the exact solve at φ_k after k = {best} steps"
    yield Hypothesis(
        Cause("inner-steps", line), lambda case: case.system_at(dict(case.iterates(best))[best]).exact(), counted=1
    )


def _phi(case: Case, ratio: float) -> Tensor:
    """φ_K of another α."""
    return case.descend(case.objective, lr=case.lr * ratio)


def _minimiser(case: Case, multiple: float) -> Tensor:
    """φ* of another λ."""
    return inner_minimiser(case.scaled(multiple), case.minimiser)


def _residual(case: Case, phi: Tensor) -> Tensor:
    """Of what was returned, in the system at φ."""
    system = case.system_at(phi)
    right = system.lam * system.gradient
    return (system.hessian(case.returned) + system.lam * case.returned - right) / right.norm()


step_size = Scale(
    "step-size",
    lambda case: case.vs == "implicit" and case.steps is not None and case.regularised,
    lambda case, ratio: case.system_at(_phi(case, ratio)).exact(),
    lambda case, ratio: (
        f"inner step size: it matches α = {apart(ratio * case.lr, case.lr)} instead of {case.lr:.4g} at φ_K"
    ),
    error=lambda case, ratio: _residual(case, _phi(case, ratio)),
)
inner_strength = Scale(
    "inner-lambda",
    lambda case: case.vs == "implicit",
    lambda case, multiple: case.system_at(_minimiser(case, multiple)).exact(),
    lambda case, multiple: f"λ in the inner problem alone: it matches {lambda_words(case, multiple)} there",
    walks=lambda case: False,
    error=lambda case, multiple: _residual(case, _minimiser(case, multiple)),
)


@dataclass(frozen=True)
class _Solver:
    """A way to solve the system that can be stopped too early."""

    kind: str
    words: str
    """What is wrong, up to the number that was found."""
    noun: str
    iterates: Callable[[System], Iterable[tuple[int, Tensor]]]
    """Numbers of steps with the coordinates reached."""
    gradient: Callable[[System, int], Tensor]


_SOLVERS = (
    _Solver(
        "cg-steps",
        "CG has not converged",
        "CG step",
        lambda system: ((t, system.krylov.cg(t)) for t in range(1, len(system.krylov) + 1)),
        System.cg,
    ),
    _Solver(
        "normal-equations",
        "CG on the normal equations has not converged",
        "step",
        lambda system: system.krylov.normal(),
        System.normal,
    ),
    _Solver(
        "minres-steps",
        "MINRES has not converged",
        "step",
        lambda system: ((t, system.krylov.minres(t)) for t in range(1, len(system.krylov) + 1)),
        System.minres,
    ),
    _Solver(
        "neumann",
        "Neumann series truncated, with η = 1/‖I + H/λ‖",
        "term",
        lambda system: system.krylov.neumann(system.inverse_radius),
        System.neumann,
    ),
)


def inexact_solves(case: Case) -> Iterator[Hypothesis]:
    """Solvers stopped too early."""
    for point in likely_points(case):
        system = case.system(point)
        for solver in _SOLVERS:
            best = system.krylov.nearest(case.returned / system.root, solver.iterates(system))
            if best is not None:
                line = f"{solver.words}: it matches {_count(best, solver.noun)}{point.where}"
                yield Hypothesis(
                    Cause(solver.kind, line),
                    lambda case, best=best, solver=solver, point=point: solver.gradient(case.system(point), best),
                    counted=1,
                )


def strength(case: Case) -> Iterator[Hypothesis]:
    """Another λ in the system."""
    for point in likely_points(case):
        multiple = case.system(point).multiple(case.returned)
        if _plausible(multiple):
            line = f"λ in the linear system{point.where}: it matches {lambda_words(case, multiple)} there"
            yield Hypothesis(
                Cause("linear-lambda", line),
                lambda case, multiple=multiple, point=point: case.system(point).exact(multiple),
                fitted=1,
            )


def strength_and_factor(case: Case) -> Iterator[Hypothesis]:
    """Another λ in the system, and a factor."""
    for point in likely_points(case):
        multiple, factor = case.system(point).multiple_and_factor(case.returned)
        if _plausible(multiple, factor):
            matched = _scaled(case, factor, multiple)
            line = f"λ in the linear system{point.where}, and a factor: it matches {matched} there"
            yield Hypothesis(
                Cause("linear-lambda", line),
                lambda case, multiple=multiple, factor=factor, point=point: case.system(point).exact(multiple, factor),
                fitted=2,
            )


def inexact_strength(case: Case) -> Iterator[Hypothesis]:
    """CG stopped too early on a system with another λ, or one that goes on at negative curvature."""
    for point in likely_points(case):
        yield from _cg_with(case, point, factor=False)


def inexact_strength_and_factor(case: Case) -> Iterator[Hypothesis]:
    """The same, with a factor."""
    for point in likely_points(case):
        yield from _cg_with(case, point, factor=True)


def _cg_with(case: Case, point: Point, *, factor: bool) -> Iterator[Hypothesis]:
    system = case.system(point)
    krylov = system.krylov
    returned = case.returned / system.root
    target = krylov.coordinates(returned)
    fits = {t: krylov.fitted(target, t, factor=factor) for t in range(1, len(krylov) + 1)}
    fits = {t: fit for t, fit in fits.items() if _plausible(*fit)}
    best = krylov.nearest(returned, ((t, krylov.cg(t, *fit)) for t, fit in fits.items()))
    if best is None:
        return
    multiple, scale = fits[best]
    matched = _count(best, "CG step")
    if abs(multiple + 1) < WRONG_SIGN and not factor:
        line = f"wrong sign in the linear system{point.where}: it matches {matched} on (I − H/λ) x = ∇L"
        cause = Cause("system-sign", line)
    else:
        words = _scaled(case, scale, multiple) if factor else lambda_words(case, multiple)
        what = f"λ in the linear system{point.where}{', and a factor' if factor else ''}, and CG has not converged"
        cause = Cause("linear-lambda", f"{what}: it matches {matched} on {words} there")
    yield Hypothesis(
        cause,
        lambda case: _cg(case.system(point), best, multiple, scale),
        fitted=2 if factor else 1,
        counted=1,
    )


def series(case: Case) -> Iterator[Hypothesis]:
    """A Neumann series with an η of its own."""
    for point in likely_points(case):
        system = case.system(point)
        target = system.krylov.coordinates(case.returned / system.root)
        for words, divided in (("", False), (", the sum not multiplied by η", True)):
            terms, step = _best_series(system.krylov, target, divided=divided)
            scale = 1 / step if divided else 1.0
            matched = f"{_count(terms, 'term')} with η = {step:.4g}{words}"
            yield Hypothesis(
                Cause("neumann", f"Neumann series truncated: it matches {matched}{point.where}"),
                lambda case, terms=terms, step=step, scale=scale, point=point: (
                    scale * case.system(point).neumann(terms, step)
                ),
                fitted=1,
                counted=1,
            )


def _best_series(krylov: Krylov, target: Tensor, *, divided: bool) -> tuple[int, float]:
    """The number of terms and the η whose series is nearest, in the Krylov space, where it is a formula.

    η Σ_{j<J} (1 − ηb)ʲ = (1 − (1 − ηb)ᴶ)/b for an eigenvalue b of I + S.
    """
    values, weights, vectors = krylov.spectrum()
    shifted, target = values + 1, vectors.T @ target

    def gradient(terms: Tensor, step: Tensor) -> Tensor:
        summed = weights * (1 - (1 - step * shifted) ** terms) / shifted
        return summed / step if divided else summed

    terms = torch.arange(1, TERMS + 1, dtype=torch.float64, device=target.device)[:, None]
    reach, centre, least = 2.0, torch.full_like(terms, -2.0), torch.full_like(terms, torch.inf)
    for _ in range(ZOOMS):
        steps = 10 ** (centre + reach * torch.linspace(-1, 1, 81, dtype=torch.float64, device=target.device))
        series = gradient(terms[..., None], steps[..., None] / shifted.abs().max())
        errors = ((series - target).norm(dim=-1) / series.norm(dim=-1)).nan_to_num(torch.inf)
        least, best = errors.min(dim=1, keepdim=True)
        centre, reach = steps.gather(1, best).log10(), reach / 20
    winner = int(least.argmin())
    return winner + 1, float(10 ** centre[winner] / shifted.abs().max())


def _plausible(multiple: float, factor: float = 1.0) -> bool:
    return math.isfinite(multiple) and multiple != 0 and math.isfinite(factor)


def _cg(system: System, steps: int, multiple: float, factor: float) -> Tensor:
    return system.krylov.vector(system.krylov.cg(steps, multiple, factor)) * system.root


def _scaled(case: Case, factor: float, multiple: float) -> str:
    return f"{times(factor)} times {lambda_words(case, multiple)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
