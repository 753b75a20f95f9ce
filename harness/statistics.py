"""Summaries of repeated samples."""

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
