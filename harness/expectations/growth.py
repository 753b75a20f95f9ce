"""Claims of how a number grows with the inner steps K."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.cell import Measurement, metric_of
from harness.expectation import Bounds, Expectation
from harness.expectations.verdict import Outcome, Verdict, held
from harness.expectations.words import Places
from harness.scaling import EXACT, EXPONENT_FROM, FLAT_OVER, LINEAR_FROM, R_SQUARED, Law, Scaling, scaling
from harness.units import number, quantity

SLOPE_FROM = 2
"""Fewest distinct K that give a slope."""


@dataclass(frozen=True)
class _Found:
    passed: bool
    measured: str
    value: float | None = None
    margin: float | None = None


@dataclass(frozen=True)
class _Demand:
    bound: str
    least: int
    """Fewest distinct K."""
    over: int
    """Smallest ratio of the largest K to the smallest."""
    judge: Callable[[Scaling], _Found]


def growth_verdicts(
    places: Places, numbers: Sequence[tuple[Measurement, float]]
) -> Iterator[tuple[str, list[Verdict]]]:
    """For every demand of a law, slope or exponent its words, and a verdict on all cells alike but in K."""
    families: dict[str, list[tuple[Measurement, float]]] = {}
    for each, value in numbers:
        families.setdefault(each.cell.family, []).append((each, value))
    for demand in _demands(places.claim):
        yield demand.bound, [_judged(places, demand, family) for family in families.values()]


def _demands(of: Expectation) -> Iterator[_Demand]:
    unit = metric_of(of.metric or "").unit
    if of.law is not None:
        law = Law(of.law)
        least = {Law.FLAT: 2, Law.LINEAR: LINEAR_FROM}.get(law, EXPONENT_FROM)
        over = FLAT_OVER if law is Law.FLAT else 1
        yield _Demand(of.law, least, over, lambda found: _law(law, found))
    if (slope := of.slope) is not None:
        bound = f"slope {slope.words(unit)} a step"
        yield _Demand(bound, SLOPE_FROM, 1, lambda found: _slope(slope, found, unit))
    if (exponent := of.exponent) is not None:
        bound = f"exponent {exponent.words('1')}"
        yield _Demand(bound, EXPONENT_FROM, 1, lambda found: _exponent(exponent, found))


def _judged(places: Places, demand: _Demand, family: Sequence[tuple[Measurement, float]]) -> Verdict:
    of = places.claim
    by_k = {each.cell.steps: value for each, value in sorted(family, key=lambda pair: pair[0].cell.steps)}
    there = _range(by_k)
    verdict = Verdict(of.claim, demand.bound, Outcome.UNTESTED, "", places.name(family[0][0], there))
    if len(by_k) < demand.least:
        return replace(verdict, measured=f"needs {demand.least} different K, there is {there}")
    if max(by_k) < demand.over * min(by_k):
        return replace(verdict, measured=f"needs a largest K of {demand.over} times the smallest, there is {there}")
    if not all(map(math.isfinite, by_k.values())):
        return replace(verdict, outcome=Outcome.FAIL, measured="not finite everywhere")
    found = demand.judge(scaling(of.metric or "", by_k))
    outcome = Outcome.PASS if found.passed else Outcome.FAIL
    return replace(verdict, outcome=outcome, measured=found.measured, value=found.value, margin=found.margin)


def _law(law: Law, found: Scaling) -> _Found:
    return _Found(found.law is law, found.words(), margin=_room(law, found))


def _room(law: Law, found: Scaling) -> float | None:
    """How much of a flat law's tolerance is left; of another's, where it holds, how much of that of R².

    None of what is flat to the last digit, which is not near to anything.
    """
    if law is Law.FLAT:
        spread = (found.most - found.least) / abs(found.most) if found.most else 0.0
        return (EXACT.flat - spread) / EXACT.flat if spread else None
    if found.law is not law:
        return None
    r_squared = max(found.r_squared, found.curve.r_squared if found.curve else 0.0)
    return (r_squared - R_SQUARED) / (1 - R_SQUARED)


def _slope(bounds: Bounds, found: Scaling, unit: str) -> _Found:
    slope = float(f"{found.slope:.12g}")  # a whole number but for rounding is to be held as one
    within, room = held(slope, bounds)
    return _Found(within, f"{quantity(slope, unit)} a step", slope, room)


def _exponent(bounds: Bounds, found: Scaling) -> _Found:
    """That of a flat law is 0."""
    if found.law is not Law.FLAT and found.curve is None:
        return _Found(False, f"none: {found.without_exponent}")
    exponent = found.curve.exponent if found.curve else 0.0
    within, room = held(exponent, bounds)
    return _Found(within, number(exponent), exponent, room)


def _range(by_k: Mapping[int, float]) -> str:
    first, last = min(by_k), max(by_k)
    return f"K = {first}" if first == last else f"K = {first} to {last}"
