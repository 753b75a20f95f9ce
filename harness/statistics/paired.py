"""Whether one code is slower than another."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from harness.statistics.dependence import Array, inflation
from harness.statistics.series import ranked_interval

MINIMUM_EFFECT = 0.02
LEVEL = 0.99
RESAMPLES = 4000
LEAST_INFLATION = 2.7
"""Pairs taken to be worth one independent one, at least: neighbours in time share noise that few pairs cannot show."""
PLANNED_INFLATION = 2.7
"""What a few dozen independent pairs may look like by chance, to be planned for."""


class Verdict(StrEnum):
    """Head against base, by the interval of the ratio of their times and the smallest effect that matters."""

    SAME = "same"
    """The interval lies within the smallest effect: whatever the difference is, it does not matter."""
    BETTER = "better"
    """The interval lies below 1, and the ratio is beyond the smallest effect: head is faster."""
    WORSE = "worse"
    """The interval lies above 1, and the ratio is beyond the smallest effect: head is slower."""
    UNCLEAR = "unclear"
    """None of these: too few samples for the noise."""


@dataclass(frozen=True)
class Comparison:
    """Time of head over time of base."""

    ratio: float
    low: float
    """Of the ratio's interval; 0 where the samples are too few for one."""
    high: float
    """Infinite where the samples are too few for one."""
    verdict: Verdict


def compare_paired(
    base: Sequence[float], head: Sequence[float], minimum_effect: float = MINIMUM_EFFECT, level: float = LEVEL
) -> Comparison:
    """Compare times taken in turn, ``base[i]`` beside ``head[i]``: what slows both for a while cancels.

    The ratio is the median of the pairs' ratios, its interval between two of them in order, chosen by the sign test:
    nothing is assumed of its distribution, and an outlier counts no more than any other pair. Neighbouring pairs are
    not taken for independent: the interval is as wide as for a third as many, or fewer where they are more alike. At
    99 % it takes 16 pairs to have one.

    Raises:
        ValueError: Unequal numbers of samples, or none.
    """
    if len(base) != len(head) or not len(base):
        raise ValueError(f"{len(base)} times of base and {len(head)} of head are not pairs")
    ratios = np.log(np.asarray(head, dtype=np.float64)) - np.log(np.asarray(base, dtype=np.float64))
    low, high = -math.inf, math.inf
    if len(ratios) > 1 and (found := ranked_interval(np.sort(ratios), _inflation(ratios), level)).level >= level:
        low, high = found.low, found.high
    return _comparison(float(np.median(ratios)), low, high, minimum_effect)


def compare(
    base: Sequence[float], head: Sequence[float], minimum_effect: float = MINIMUM_EFFECT, level: float = LEVEL
) -> Comparison:
    """Compare times taken apart: the ratio of the medians, with a seeded bootstrap interval, of at least one each.

    Only the noise within each series is seen. What differs between two runs of the same code, on another day or in
    another process, is not: that can be many times more, and only pairs taken in turn are free of it. At 99 % it takes
    8 samples of each to have an interval.
    """
    rng, medians, centres = np.random.default_rng(0), list[Array](), list[float]()
    for series in (base, head):
        logs = np.log(np.asarray(series, dtype=np.float64))
        medians.append(_resampled_medians(np.sort(logs), len(logs) / _inflation(logs), rng))
        centres.append(float(np.median(logs)))
    low, high = -math.inf, math.inf
    if 2.0 ** (1 - min(len(base), len(head))) <= 1 - level:
        low, high = np.quantile(medians[1] - medians[0], [(1 - level) / 2, (1 + level) / 2])
    return _comparison(centres[1] - centres[0], float(low), float(high), minimum_effect)


def required_pairs(
    noise: float,
    effect: float,
    power: float = 0.9,
    level: float = LEVEL,
    minimum_effect: float = MINIMUM_EFFECT,
) -> int:
    """Pairs with which :func:`compare_paired` says that head is slower, with probability ``power``, where it is.

    Args:
        noise: Standard deviation of the logarithm of one pair's ratio, for pairs that know nothing of each other;
            1.48 MAD of the ratios, where there are outliers.
        effect: The slowdown, as a share of base's time.
        power: Probability to be reached, above one half.
        level: Of the interval.
        minimum_effect: Smallest effect that matters.

    Raises:
        ValueError: ``effect`` is not above ``minimum_effect``.
    """
    if effect <= minimum_effect:
        raise ValueError(f"an effect of {effect:g} is not above the smallest that matters, {minimum_effect:g}")
    normal, slowdown = NormalDist(), math.log1p(effect)
    missed, beyond = normal.inv_cdf(power), slowdown - math.log1p(minimum_effect)
    enough_beyond = math.ceil(math.pi / 2 * (noise * missed / beyond) ** 2)

    def apart(count: int) -> bool:
        """Whether the lower end of the interval, an order statistic, lies above 1 often enough."""
        share = _ordinal(count, PLANNED_INFLATION, level) / (count + 1)
        if share <= 0:
            return False
        end = normal.inv_cdf(share)
        deviation = math.sqrt(share * (1 - share) / count) / normal.pdf(end)
        return slowdown + noise * (end - missed * deviation) > 0

    return next(count for count in itertools.count(max(1, enough_beyond)) if apart(count))


def _comparison(ratio: float, low: float, high: float, minimum_effect: float) -> Comparison:
    """The verdict on an interval of the logarithm."""
    matters = math.log1p(minimum_effect)
    if low > 0 and ratio > matters:
        verdict = Verdict.WORSE
    elif high < 0 and ratio < -matters:
        verdict = Verdict.BETTER
    elif -matters <= low and high <= matters:
        verdict = Verdict.SAME
    else:
        verdict = Verdict.UNCLEAR
    return Comparison(math.exp(ratio), math.exp(low), math.exp(high), verdict)


def _deviations(level: float) -> float:
    """Standard deviations of a normal variable within which it lies with probability ``level``."""
    return NormalDist().inv_cdf((1 + level) / 2)


def _ordinal(count: int, inflation: float, level: float) -> int:
    """Which of ``count`` values in ascending order the interval begins at, counted from 1; below 1 there is none."""
    return math.floor((count + 1 - _deviations(level) * math.sqrt(count * inflation)) / 2)


def _inflation(values: Array) -> float:
    """How many of the values know as much of the median as one independent one."""
    return max(LEAST_INFLATION, inflation(values, doubt=0.0))


def _resampled_medians(ordered: Array, size: float, rng: np.random.Generator) -> Array:
    """Medians of ``RESAMPLES`` resamples, each of ``size``, of samples in ascending order, shape (RESAMPLES,).

    No resample is drawn: the rank of a resample's median is that of the middle one of ``size`` uniform numbers, which
    is a beta variable. A ``size`` below the number of samples is that of as many independent ones.
    """
    ranks = rng.beta((size + 1) / 2, (size + 1) / 2, RESAMPLES)
    centres = (np.arange(len(ordered)) + 0.5) / len(ordered)
    return np.interp(ranks, centres, ordered)
