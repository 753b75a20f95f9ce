"""The hypothesis that explains what a function returned, if one does."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.errors import BadInput
from harness.validation.case import Case
from harness.validation.causes import TIERS
from harness.validation.causes.parameters import some_parameters
from harness.validation.causes.points import SEARCH_SIZE
from harness.validation.causes.precision import precision
from harness.validation.hypothesis import Family, Hypothesis
from harness.validation.report import Cause
from harness.validation.words import origin, times

MATCH, ROUGH_MATCH = 1e-3, 1e-2
"""Part of a function's error that a hypothesis may leave unexplained, in float64 and in lower precisions."""
EXACT, ROUGH_EXACT = 1e-9, 1e-5
"""Relative error at which a hypothesis explains all there is, and no more complicated one is tried."""
CHANCE = 1e-9
"""Probability that something meaningless meets one hypothesis: some thousand are tried."""
SAME = 1e-6
"""Relative distance from the reference at which a hypothesis is no other."""
AS_GOOD, ROUNDING = 10, 1e-13
"""Hypotheses cannot be told apart whose errors are within a factor of the least, or below rounding."""


@dataclass(frozen=True)
class _Held:
    """A hypothesis that no case speaks against."""

    hypothesis: Hypothesis
    worst: float
    """Largest relative error of the cases."""


def likely_cause(cases: Sequence[Case], tolerance: float) -> Cause | None:
    """The simplest of the hypotheses that explain every case about as well as any does; several where they tie.

    ``None`` where none explains all of them.

    Args:
        cases: Failed draws; numbers are fitted to the first.
        tolerance: Relative error that would have passed.
    """
    if not any(bool(case.returned.any()) for case in cases):
        return Cause("zero", "it is zero: is it detached from the graph?")
    variation = max(case.variation for case in cases)
    if variation > tolerance:
        line = f"two calls with the same input differ by {variation:.1e}: does it draw random numbers or keep a state?"
        return Cause("variation", line)
    return _simplest(_held(cases)) or precision(cases) or some_parameters(cases)


def _held(cases: Sequence[Case]) -> list[_Held]:
    """Those of the simplest tier that has an exact one, and of the tiers before it."""
    exact = EXACT if cases[0].dtype == torch.float64 else ROUGH_EXACT
    large = cases[0].reference.numel() > SEARCH_SIZE
    held, tried = list[_Held](), list[tuple[Hypothesis, Tensor]]()
    for tier in TIERS:
        for hypothesis in _hypotheses(tier, cases[0], tried):
            worst = _worst(hypothesis, cases, tried)
            if worst is None:
                continue
            held.append(_Held(hypothesis, worst))
            if large and worst <= exact:
                return held
        if any(each.worst <= exact for each in held):
            break
    return held


def _hypotheses(tier: Sequence[Family], case: Case, tried: Sequence[tuple[Hypothesis, Tensor]]) -> Iterator[Hypothesis]:
    """Those of a tier, and constants times those that were tried before it without a number fitted."""
    if tier is TIERS[1]:
        plain = [each for each in tried if each[0].scalable and not _right(each[1], case)]
        yield from (_multiple(hypothesis, gradient, case) for hypothesis, gradient in plain)
    for family in tier:
        with suppress(BadInput, RuntimeError):  # what it asks for does not exist here, or cannot be solved
            yield from family(case)


def _right(gradient: Tensor, case: Case) -> bool:
    """Whether there is no difference between what a hypothesis says and the reference."""
    return float((gradient - case.reference).norm()) <= SAME * float(case.reference.norm())


def _multiple(hypothesis: Hypothesis, gradient: Tensor, case: Case) -> Hypothesis:
    factor = float(case.returned.dot(gradient) / gradient.dot(gradient))
    line = f"{hypothesis.cause.line}, times {times(factor)}{origin(case, factor)}"
    return Hypothesis(replace(hypothesis.cause, line=line), lambda case: factor * hypothesis.gradient(case), fitted=1)


def _worst(hypothesis: Hypothesis, cases: Sequence[Case], tried: list[tuple[Hypothesis, Tensor]]) -> float | None:
    """The largest relative error of the cases; ``None`` where one of them speaks against the hypothesis.

    The gradient for the first is noted in ``tried``.
    """
    worst, allowed = 0.0, _allowed(hypothesis, cases)
    for case in cases:
        try:
            gradient = hypothesis.gradient(case)
        except (BadInput, RuntimeError):
            return None
        if case is cases[0]:
            tried.append((hypothesis, gradient))
        distance = max(case.distance(gradient), case.distance(gradient, hypothesis.within))
        if not distance <= allowed * min(1.0, case.error):
            return None
        worst = max(worst, distance)
    return worst


def _allowed(hypothesis: Hypothesis, cases: Sequence[Case]) -> float:
    """Part of the error that may be left, small enough that few fitted numbers cannot meet few entries by chance.

    A random vector is within δ of a hypothesis with probability δ to the power of the numbers it has to meet.
    """
    entries = sum(
        case.returned.numel() if hypothesis.within is None else int(hypothesis.within.sum()) for case in cases
    )
    left = entries - hypothesis.fitted * (len(cases) if hypothesis.by_draw else 1)
    match = MATCH if cases[0].dtype == torch.float64 else ROUGH_MATCH
    return min(match, CHANCE ** (1 / left)) if left > 0 else 0.0


def _simplest(held: Sequence[_Held]) -> Cause | None:
    best = min((each.worst for each in held), default=math.inf)
    good = [each for each in held if each.worst <= max(AS_GOOD * best, ROUNDING)]
    fitted = min((each.hypothesis.fitted for each in good), default=0)
    by_kind: dict[str, _Held] = {}
    for each in good:
        kind = each.hypothesis.cause.kind
        if each.hypothesis.fitted == fitted and (kind not in by_kind or each.worst < by_kind[kind].worst):
            by_kind[kind] = each
    if not by_kind:
        return None
    lines = [f"{each.hypothesis.cause.line}, to within {each.worst:.1e}" for each in by_kind.values()]
    return Cause(" or ".join(by_kind), "; or ".join(lines))
