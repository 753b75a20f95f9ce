"""How much less a series says of its median than as many independent samples: neighbours in time share noise.

Where a monotone function makes a series out of a Gaussian one, the number of samples below the median is that of the
Gaussian one below its own, whatever the distribution: only the autocorrelation of the normal scores counts. Two of
correlation r lie on the same side of the median with probability 1/2 + arcsin(r)/π, so that the variance of that number
is by 1 + 2 Σ (1 − h/n) (2/π) arcsin(r_h) what it is of n independent samples: the *inflation*.
"""

import math
from typing import TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

LARGEST = 0.99
"""Largest correlation of neighbours that is reckoned with, for a sum to be finite."""
DOUBT = 1.645
"""Standard deviations by which the correlation of neighbours may be larger than it looks, for it seldom to be more."""


def inflation(values: Array, doubt: float = DOUBT) -> float:
    """The largest inflation that at least two values, in their order in time, agree with; without doubt the likeliest.

    A few of them look independent even where they are not. At each lag the autocorrelation is the measured one, up to
    the first that is not positive, or that of the first-order autoregression whose neighbours are as much alike as
    these may be, whichever is larger.
    """
    count, measured = len(values), _autocorrelations(values)
    assumed = _geometric(_most_correlation(float(measured[0]), count, doubt), count)
    unbiased = measured + 1 / count
    seen = unbiased[: int(np.argmin(np.append(unbiased, 0.0) > 0))]
    assumed[: len(seen)] = np.maximum(assumed[: len(seen)], seen)
    return _inflation_of(assumed, count)


def autoregressive_inflation(correlation: float, count: int) -> float:
    """The inflation of ``count`` samples of a first-order autoregression with this correlation of neighbours."""
    return _inflation_of(_geometric(correlation, count), count)


def _most_correlation(looks: float, count: int, doubt: float) -> float:
    """The largest correlation of neighbours, from 0 to :data:`LARGEST`, that may look like this in so many samples.

    A correlation ρ looks like ρ − (1 + 4ρ)/n, give or take √((1 − ρ²)/n): Kendall's and Bartlett's approximations. The
    largest is the root of ρ − (1 + 4ρ)/n − d √((1 − ρ²)/n) = r, where r is what it looks like and d the doubt.
    """
    slope, level, width = 1 - 4 / count, looks + 1 / count, doubt / math.sqrt(count)
    square = slope**2 + width**2
    if level**2 >= square:
        return LARGEST if level > 0 else 0.0
    root = (slope * level + width * math.sqrt(square - level**2)) / square
    return min(max(root, 0.0), LARGEST)


def _geometric(correlation: float, count: int) -> Array:
    """The autocorrelations of a first-order autoregression at all lags of so many samples."""
    return np.power(np.float64(correlation), np.arange(1.0, count))


def _inflation_of(autocorrelations: Array, count: int) -> float:
    """1 + 2 Σ (1 − h/n) (2/π) arcsin(r_h), of the autocorrelations r from lag 1 on."""
    lags = np.arange(1, len(autocorrelations) + 1)
    of_signs = 2 / math.pi * np.arcsin(np.minimum(autocorrelations, LARGEST))
    return 1.0 + 2.0 * float((1 - lags / count) @ of_signs)


def _autocorrelations(values: Array) -> Array:
    """Those of the normal scores, from lag 1 to a quarter of the samples; of equal values 0."""
    scores = scipy.special.ndtri(scipy.stats.rankdata(values) / (len(values) + 1))
    scores -= scores.mean()
    lags = range(1, max(1, len(values) // 4) + 1)
    total = float(scores @ scores)
    return np.array([float(scores[lag:] @ scores[:-lag]) / total if total else 0.0 for lag in lags])
