"""Verdicts on times of many cells at once: what differs from process to process of the same code is no verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scipy.special import ndtri, stdtrit

from harness.statistics import Comparison, Verdict, mad
from harness.statistics.series import SIGMA_OF_MAD

MINIMUM_EFFECT = 0.10
"""Slowdown that does not matter between runs made apart: the same code differs by some of it from day to day."""
MINIMUM_EFFECT_IN_TURN = 0.05
"""The same where the processes of base and head took turns."""
FALSE_ALARMS = 0.01
"""Probability that any cell of two runs of the same code is found worse or better."""
EQUIVALENCE = 0.10
"""Probability that a cell is found the same, and its ratio lies beyond the smallest effect."""
LEAST_SPREAD = 0.02
"""Standard deviation of the logarithm from process to process that is taken for granted, …"""
UNKNOWN_SPREAD = 0.12
"""… and the same where there is one process a side."""
ENOUGH_CELLS = 6
"""So many ratios of single processes show their scatter."""
LARGEST = 700.0
"""Logarithm of the largest ratio that is a number."""


@dataclass(frozen=True)
class Times:
    """Of one cell, in seconds."""

    base: Sequence[float]
    """What each process took: the median of its calls, or its fastest one; at least one process."""
    head: Sequence[float]
    fastest_base: float
    """Shortest call of all processes, those that warmed them up included."""
    fastest_head: float


def compare_apart(cells: Sequence[Times]) -> list[Comparison]:
    """Compare the cells of two runs made one after the other, by the ratios of their medians over the processes."""
    return _comparisons([_apart(each) for each in cells], MINIMUM_EFFECT)


def compare_in_turn(cells: Sequence[Times]) -> list[Comparison]:
    """Compare cells of which ``base[i]`` ran beside ``head[i]``, by the medians of the pairs' ratios."""
    sides = [(_logarithms(each.base), _logarithms(each.head)) for each in cells]
    pairs = [[after - before for before, after in zip(base, head, strict=True)] for base, head in sides]
    return _comparisons(
        [
            _Sample(
                ratio=median(ratios),
                fastest=math.log(each.fastest_head / each.fastest_base),
                deviations=[each / math.sqrt(2) for each in _deviations(ratios)],
                freedom=len(ratios) - 1,
                weight=2 * _weight(len(ratios)),
            )
            for each, ratios in zip(cells, pairs, strict=True)
        ],
        MINIMUM_EFFECT_IN_TURN,
    )


def process_spreads(cells: Sequence[Times]) -> list[float] | None:
    """Standard deviation of the logarithm from process to process, of each cell: its own, or the typical one if larger.

    Of single processes it is the scatter of the cells' ratios about each other; none where they are too few for one.
    """
    samples = [_apart(each) for each in cells]
    if any(each.freedom for each in samples):
        typical = _typical_variance(samples)
    elif len(samples) >= ENOUGH_CELLS:
        typical = max(_scatter(samples), LEAST_SPREAD) ** 2
    else:
        return None
    return [math.sqrt(max(typical, each.variance)) for each in samples]


@dataclass(frozen=True)
class _Sample:
    """Of one cell, in logarithms."""

    ratio: float
    fastest: float
    """The same ratio of the fastest calls."""
    deviations: list[float]
    """Of the processes from the mean of their side."""
    freedom: int
    weight: float
    """Variance of the ratio for a variance of 1 from process to process."""

    @property
    def variance(self) -> float:
        return sum(each**2 for each in self.deviations) / self.freedom if self.freedom else 0.0


def _apart(times: Times) -> _Sample:
    base, head = _logarithms(times.base), _logarithms(times.head)
    return _Sample(
        ratio=median(head) - median(base),
        fastest=math.log(times.fastest_head / times.fastest_base),
        deviations=[*_deviations(base), *_deviations(head)],
        freedom=len(base) + len(head) - 2,
        weight=_weight(len(base)) + _weight(len(head)),
    )


def _comparisons(samples: Sequence[_Sample], effect: float) -> list[Comparison]:
    """The verdicts on all cells together.

    A cell's spread is its own from process to process, or the typical one of all cells where that is larger. A change
    has to show in the fastest calls too: code slows them all, a machine that is busy for a while only some.
    """
    freedom = sum(each.freedom for each in samples)
    typical = _typical_variance(samples)
    wide = _quantile(1 - FALSE_ALARMS / (2 * max(1, len(samples))), freedom)
    narrow = _quantile(1 - EQUIVALENCE / 2, freedom)
    found: list[Comparison] = []
    for each in samples:
        error = math.sqrt(max(typical, each.variance) * each.weight)
        found.append(verdict(each.ratio, each.fastest, wide * error, narrow * error, math.log1p(effect)))
    return found


def verdict(ratio: float, fastest: float, wide: float, narrow: float, matters: float) -> Comparison:
    """The verdict on a cell; all are logarithms.

    Args:
        ratio: Of head over base.
        fastest: The same of the fastest calls, which have to have changed too.
        wide: Half-width of the interval that has to leave 0 out for a change.
        narrow: Half-width of the one that has to lie within what matters for none.
        matters: The smallest effect.
    """
    if ratio > max(matters, wide) and fastest > matters:
        found = Verdict.WORSE
    elif ratio < -max(matters, wide) and fastest < -matters:
        found = Verdict.BETTER
    elif abs(ratio) + narrow <= matters:
        found = Verdict.SAME
    else:
        found = Verdict.UNCLEAR
    return Comparison(_exp(ratio), _exp(ratio - wide), _exp(ratio + wide), found)


def _exp(logarithm: float) -> float:
    return math.exp(min(logarithm, LARGEST))


def _typical_variance(samples: Sequence[_Sample]) -> float:
    """Of the logarithm from process to process: the median over the cells, or their scatter about each other."""
    repeated = [each.variance / _median_variance(each.freedom) for each in samples if each.freedom]
    if repeated:
        return max(median(repeated), LEAST_SPREAD**2)
    scatter = _scatter(samples) if len(samples) >= ENOUGH_CELLS else 0.0
    return max(scatter, UNKNOWN_SPREAD) ** 2


def _scatter(samples: Sequence[_Sample]) -> float:
    """Spread from process to process by which the cells' ratios differ."""
    return SIGMA_OF_MAD * mad([each.ratio for each in samples]) / math.sqrt(2)


def _weight(count: int) -> float:
    """Variance of the median of ``count`` normal values of variance 1; of more than two, at most."""
    return math.pi / 2 / count if count > 2 else 1 / count


def _median_variance(freedom: int) -> float:
    """Median of the estimates of a variance of 1, by Wilson and Hilferty's approximation."""
    return (1 - 2 / (9 * freedom)) ** 3


def _quantile(probability: float, freedom: int) -> float:
    """Of Student's t; the normal one's without freedom, where the spread is taken for known."""
    return float(stdtrit(freedom, probability) if freedom else ndtri(probability))


def _logarithms(seconds: Sequence[float]) -> list[float]:
    return [math.log(each) for each in seconds]


def _deviations(values: Sequence[float]) -> list[float]:
    centre = sum(values) / len(values)
    return [each - centre for each in values]
