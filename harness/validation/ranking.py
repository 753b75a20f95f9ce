"""The hypothesis that explains what a function returned, if one does."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.errors import BadInput
from harness.validation.case import Case
from harness.validation.causes import COMPOUND, FITTED, PLAIN, SEARCHED
from harness.validation.causes.parameters import some_parameters
from harness.validation.causes.points import SEARCH_SIZE
from harness.validation.causes.precision import precision
from harness.validation.causes.scale import Scale
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
AS_GOOD, ROUNDING = 10, 1e-11
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
    """Those that hold, simple ones first; after one that leaves nothing over no more that cost much are tried.

    A search goes on all the same where it may well end at the same gradient.
    """
    case, large = cases[0], cases[0].reference.numel() > SEARCH_SIZE
    exact = EXACT if case.dtype == torch.float64 else ROUGH_EXACT
    held, plain = list[_Held](), list[tuple[Hypothesis, Tensor]]()

    def hold(hypotheses: Iterable[Hypothesis], until: float = 0.0) -> bool:
        """Note those that hold; whether one of all so far leaves nothing over."""
        for hypothesis in hypotheses:
            gradient = _attempt(hypothesis, case)
            if gradient is None:
                continue
            if hypothesis.scalable and not _right(gradient, case):
                plain.append((hypothesis, gradient))
            worst = _worst(hypothesis, gradient, cases)
            if worst is not None:
                held.append(_Held(hypothesis, worst))
                if worst <= until:
                    break
        return any(each.worst <= exact for each in held)

    if hold(_of(PLAIN, case), until=exact if large else 0.0):
        return held
    multiples = [_multiple(*each, case) for each in plain]
    done = hold((*multiples, *_of(FITTED, case)))
    for family in SEARCHED:
        if not done or (isinstance(family, Scale) and family.in_line(case)):
            done = hold(_of((family,), case))
    if not done:
        hold(_of(COMPOUND, case))
    return held


def _of(families: Iterable[Family], case: Case) -> Iterator[Hypothesis]:
    for family in families:
        with suppress(BadInput, RuntimeError):  # what it asks for does not exist here, or cannot be solved
            yield from family(case)


def _attempt(hypothesis: Hypothesis, case: Case) -> Tensor | None:
    try:
        return hypothesis.gradient(case)
    except (BadInput, RuntimeError):
        return None


def _right(gradient: Tensor, case: Case) -> bool:
    """Whether there is no difference between what a hypothesis says and the reference."""
    return float((gradient - case.reference).norm()) <= SAME * float(case.reference.norm())


def _multiple(hypothesis: Hypothesis, gradient: Tensor, case: Case) -> Hypothesis:
    factor = float(case.returned.dot(gradient) / gradient.dot(gradient))
    line = f"{hypothesis.cause.line}, times {times(factor)}{origin(case, factor)}"
    return Hypothesis(replace(hypothesis.cause, line=line), lambda case: factor * hypothesis.gradient(case), fitted=1)


def _worst(hypothesis: Hypothesis, first: Tensor, cases: Sequence[Case]) -> float | None:
    """The largest relative error of the cases; ``None`` where one of them speaks against the hypothesis.

    Args:
        hypothesis: What is held against them.
        first: Its gradient for the first.
        cases: Failed draws.
    """
    worst, allowed = 0.0, _allowed(hypothesis, cases)
    for case in cases:
        gradient = first if case is cases[0] else _attempt(hypothesis, case)
        if gradient is None:
            return None
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
    least = min((_complexity(each) for each in good), default=None)
    by_kind: dict[str, _Held] = {}
    for each in good:
        kind = each.hypothesis.cause.kind
        if _complexity(each) == least and (kind not in by_kind or each.worst < by_kind[kind].worst):
            by_kind[kind] = each
    if not by_kind:
        return None
    lines = [f"{each.hypothesis.cause.line}, to within {each.worst:.1e}" for each in by_kind.values()]
    return Cause(" or ".join(by_kind), "; or ".join(lines))


def _complexity(held: _Held) -> tuple[int, int]:
    """Real numbers fitted, which nothing but the truth makes superfluous, and then whole ones."""
    return held.hypothesis.fitted, held.hypothesis.counted
