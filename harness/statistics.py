"""Summaries of repeated samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """Median of some samples and the quartiles around it."""

    count: int
    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""


def summarise(samples: Sequence[float]) -> Summary:
    """Median and quartiles; of a single sample, the sample itself thrice."""
    low, median, high = (float(q) for q in np.quantile(np.asarray(samples, dtype=np.float64), [0.25, 0.5, 0.75]))
    return Summary(len(samples), median, low, high)


@dataclass(frozen=True)
class Line:
    """Least-squares straight line y = intercept + slope x."""

    slope: float
    intercept: float
    r_squared: float


def fit_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit a line through at least two points with distinct ``x``. R² of constant ``y`` is 1: nothing is left over."""
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centred = xs - xs.mean()
    spread = float(centred @ centred)
    if spread == 0.0:
        raise ValueError("a line needs two distinct x")
    slope = float(centred @ ys) / spread
    intercept = float(ys.mean() - slope * xs.mean())
    residual = ys - intercept - slope * xs
    total = float(((ys - ys.mean()) ** 2).sum())
    return Line(slope, intercept, 1.0 if total == 0.0 else 1.0 - float(residual @ residual) / total)


@dataclass(frozen=True)
class PowerLaw:
    """y = c x^exponent, fitted as a straight line through the logarithms."""

    exponent: float
    half_width: float
    """Of the exponent's 95 % confidence interval, by Student's t; 0 where the points leave nothing over."""
    r_squared: float
    count: int
    """Points fitted."""


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """Fit a power law through at least three points with distinct ``x``, all above 0."""
    if len(x) < 3:
        raise ValueError("an interval needs three points")
    xs, ys = np.log(np.asarray(x, dtype=np.float64)), np.log(np.asarray(y, dtype=np.float64))
    line = fit_line(list(xs), list(ys))
    freedom = len(x) - 2
    left = float(((ys - line.intercept - line.slope * xs) ** 2).sum())
    spread = float(((xs - xs.mean()) ** 2).sum())
    return PowerLaw(line.slope, t_quantile(freedom) * math.sqrt(left / freedom / spread), line.r_squared, len(x))


_T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t; beyond 30 degrees of freedom that of 30, which is larger."""
    return _T_975[min(freedom, len(_T_975)) - 1]
