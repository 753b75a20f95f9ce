"""What a series of repeated times says, and whether to believe it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import scipy

from harness.statistics.dependence import Array, autoregressive_inflation, inflation

LEVEL = 0.95
"""Probability that an interval of the median holds it, unless another is asked for."""
TRUSTED_CORRELATION = 0.85
"""Correlation of neighbours up to which an interval of few samples holds its level: they cannot show a smaller one."""
UNSTABLE_SHARE = 0.05
"""Half-width of the median's interval, as a share of the median, from which a series is unstable."""
DRIFT_SHARE = 0.02
"""Change from the median of the first third to that of the last, as a share, below which a trend does not matter."""
MODE_SHARE = 0.02
"""Distance of two modes, as a share of the lower one, below which they do not matter."""
MODE_EXPLAINS = 0.93
"""Share of the variance that two modes must explain; one normal mode cut in two explains 0.64, a uniform one 0.75."""
MODE_MEMBERS = 0.2, 5
"""Share and count of the samples that the smaller mode must hold: fewer are outliers."""
CLIPPED_SHARE = 0.05
"""Share of the samples at each end that are moved to the next one, lest outliers hide two modes."""
OUTLIER_DEVIATIONS = 5.0
SIGMA_OF_MAD = 1.4826
"""Standard deviations in one MAD of normal noise."""


@dataclass(frozen=True)
class Interval:
    """An interval that holds the median with probability ``level``, or a larger one."""

    low: float
    high: float
    level: float
    """What was asked for, or less where the samples are too few to give it."""

    @property
    def half_width(self) -> float:
        """Half of its width, in the samples' unit."""
        return (self.high - self.low) / 2


class Remark(StrEnum):
    """What is suspect about a series."""

    UNSTABLE = "unstable"
    DRIFTING = "drifting"
    BIMODAL = "bimodal"

    @property
    def meaning(self) -> str:
        """What was seen, and what to do about it."""
        return _MEANINGS[self]


_MEANINGS = {
    Remark.UNSTABLE: f"the median is known to no better than ±{UNSTABLE_SHARE:.0%}: quieten the machine or raise "
    "max_seconds",
    Remark.DRIFTING: f"the times moved by more than {DRIFT_SHARE:.0%} one way: look for a clock or temperature still "
    "settling, or memory that grows from call to call",
    Remark.BIMODAL: "the times fall into two groups, and the median lies in whichever is larger: look for another "
    "process, a changing clock, or work done only by some calls",
}


def median_interval(samples: Sequence[float], level: float = LEVEL) -> Interval:
    """Interval of the median of the distribution that at least one sample, in the order they were taken, comes from.

    By the sign test: it ends at two of the samples in ascending order, or between neighbours. Nothing is assumed of the
    distribution, and neighbours in time need not be independent: the interval is as wide as for the largest inflation
    that the samples agree with. Whether few samples are independent they do not show: where not even their range is
    sure to hold the median at a correlation of :data:`TRUSTED_CORRELATION`, it is the interval, and its ``level`` is
    what it then holds (three samples: 30 %; one: 0). At 95 % that is so below 22 samples.
    """
    values = np.asarray(samples, dtype=np.float64)
    count, ordered = len(values), np.sort(values)
    reachable = _range_level(count)
    if reachable < level:
        return Interval(float(ordered[0]), float(ordered[-1]), reachable)
    found = _ranked_interval(ordered, inflation(values), level)
    return Interval(found.low, found.high, level)


@lru_cache
def _range_level(count: int) -> float:
    """Probability that the range of so many samples holds the median where neighbours are as correlated as trusted."""
    if count < 2:
        return 0.0
    return float(_levels(count, autoregressive_inflation(TRUSTED_CORRELATION, count))[0])


def _ranked_interval(ordered: Array, inflated: float, level: float) -> Interval:
    """Interval of the median of at least two samples in ascending order, whose inflation is known; at most the range.

    Between two samples the level is taken for a straight line.
    """
    count, levels = len(ordered), _levels(len(ordered), inflated)
    rank = float(np.interp(-level, -levels, np.arange(len(levels))))
    low, high = np.interp([rank, count - 1 - rank], np.arange(count), ordered)
    return Interval(float(low), float(high), min(level, float(levels[0])))


def _levels(count: int, inflated: float) -> Array:
    """Probabilities that the median lies between the k-th smallest and the k-th largest sample, for k from 1.

    The number of samples below the median is binomial of independent ones. Of others it is beta-binomial, which has the
    same mean and the variance that the inflation makes it.
    """
    below = np.arange((count + 1) // 2)
    if inflated <= 1:
        return 1 - 2 * scipy.stats.binom.cdf(below, count, 0.5)
    shape = ((count - 1) / (inflated - 1) - 1) / 2
    return 1 - 2 * np.cumsum(scipy.stats.betabinom.pmf(below, count, shape, shape))


def mad(samples: Sequence[float]) -> float:
    """Median absolute deviation from the median, in the samples' unit."""
    values = np.asarray(samples, dtype=np.float64)
    return float(np.median(np.abs(values - np.median(values))))


def outliers(samples: Sequence[float]) -> list[int]:
    """Indices of the samples further than 5 standard deviations, estimated by MAD, from the median."""
    values = np.asarray(samples, dtype=np.float64)
    limit = OUTLIER_DEVIATIONS * SIGMA_OF_MAD * mad(samples)
    return [int(index) for index in np.flatnonzero(np.abs(values - np.median(values)) > limit)]


def remarks(samples: Sequence[float]) -> tuple[Remark, ...]:
    """What is suspect about ``samples``, all above 0 and in the order they were taken; of fewer than three, nothing.

    Each test is meant to be wrong about at most one steady series in a hundred, whatever its noise looks like. Where
    neighbours are alike, a series wanders: one that went more than 2 % one way is drifting, though it may come back.
    """
    if len(samples) < 3:
        return ()
    tests = {Remark.UNSTABLE: _unstable, Remark.DRIFTING: _drifting, Remark.BIMODAL: _bimodal}
    values = np.asarray(samples, dtype=np.float64)
    return tuple(remark for remark, holds in tests.items() if holds(values))


def _unstable(values: Array) -> bool:
    interval = _ranked_interval(np.sort(values), inflation(values, doubt=0.0), LEVEL)
    return interval.half_width > UNSTABLE_SHARE * float(np.median(values))


def _drifting(values: Array) -> bool:
    """Mann and Kendall's test at 1 %, from 8 samples, and a change that matters."""
    if len(values) < 8:
        return False
    third = len(values) // 3
    first, last = float(np.median(values[:third])), float(np.median(values[-third:]))
    moved = abs(last - first) > DRIFT_SHARE * min(first, last)
    return moved and bool(scipy.stats.kendalltau(np.arange(len(values)), values).pvalue < 0.01)


def _bimodal(values: Array) -> bool:
    """Whether the best cut of the sorted logarithms, clipped, explains nearly all of their variance."""
    ordered = np.sort(np.log(values))
    count, least = len(ordered), max(math.ceil(MODE_MEMBERS[0] * len(ordered)), MODE_MEMBERS[1])
    if count < 2 * least:
        return False
    end = math.ceil(CLIPPED_SHARE * count)
    clipped = np.clip(ordered, ordered[end], ordered[-1 - end]) - np.median(ordered)
    total = float(((clipped - clipped.mean()) ** 2).sum())
    cuts = np.arange(least, count - least + 1)
    below = np.cumsum(clipped)[cuts - 1]
    gap = (clipped.sum() - below) / (count - cuts) - below / cuts
    between = gap**2 * cuts * (count - cuts) / count
    best = int(np.argmax(between))
    return bool(between[best] > MODE_EXPLAINS * total and gap[best] > math.log1p(MODE_SHARE))
