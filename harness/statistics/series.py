"""What a series of repeated times says, and whether to believe it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

RESAMPLES = 4000
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
    """An interval that holds the median with probability ``level``."""

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


def bootstrap_interval(samples: Sequence[float], level: float = 0.95) -> Interval:
    """Percentile bootstrap of the median of at least one sample, seeded: the same samples give the same interval.

    The samples are taken for independent. n samples all lie on one side of the median with probability 2^(1 − n), so
    below 6 of them nothing reaches 95 %: the interval is then their range, and its ``level`` what that holds (three
    samples: 75 %; one: 0).
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    reachable = 1.0 - 2.0 ** (1 - len(ordered))
    if reachable < level:
        return Interval(float(ordered[0]), float(ordered[-1]), reachable)
    medians = resampled_medians(ordered, len(ordered), np.random.default_rng(0))
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def resampled_medians(ordered: Array, size: float, rng: np.random.Generator) -> Array:
    """Medians of ``RESAMPLES`` resamples, each of ``size``, of samples in ascending order, shape (RESAMPLES,).

    No resample is drawn: the rank of a resample's median is that of the middle one of ``size`` uniform numbers, which
    is a beta variable. A ``size`` below the number of samples is that of as many independent ones.
    """
    ranks = rng.beta((size + 1) / 2, (size + 1) / 2, RESAMPLES)
    centres = (np.arange(len(ordered)) + 0.5) / len(ordered)
    return np.interp(ranks, centres, ordered)


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

    Each test is meant to be wrong about at most one steady series in a hundred, whatever its noise looks like.
    """
    if len(samples) < 3:
        return ()
    tests = {Remark.UNSTABLE: _unstable, Remark.DRIFTING: _drifting, Remark.BIMODAL: _bimodal}
    values = np.asarray(samples, dtype=np.float64)
    return tuple(remark for remark, holds in tests.items() if holds(values))


def _unstable(values: Array) -> bool:
    return bootstrap_interval(list(values)).half_width > UNSTABLE_SHARE * float(np.median(values))


def _drifting(values: Array, most: int = 1000) -> bool:
    """Mann and Kendall's test at 1 %, from 8 samples, and a change that matters; longer series are thinned."""
    values = values[:: math.ceil(len(values) / most)]
    if len(values) < 8:
        return False
    third = len(values) // 3
    first, last = float(np.median(values[:third])), float(np.median(values[-third:]))
    moved = abs(last - first) > DRIFT_SHARE * min(first, last)
    return moved and _trend_deviations(values) > NormalDist().inv_cdf(0.995)


def _trend_deviations(values: Array) -> float:
    """|S| − 1 over its standard deviation, S being the pairs that rise less those that fall; ties are corrected for."""
    count = len(values)
    later = np.triu_indices(count, 1)
    score = float(np.sign(values[later[1]] - values[later[0]]).sum())
    ties = np.unique(values, return_counts=True)[1].astype(np.float64)
    variance = (count * (count - 1) * (2 * count + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    return (abs(score) - 1) / math.sqrt(variance) if variance > 0 else 0.0


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
