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
    """Median and quartiles; of a single sample, the sample itself thrice; not a number between infinite ones."""
    if len(samples) == 1:
        return Summary(1, samples[0], samples[0], samples[0])
    with np.errstate(invalid="ignore"):
        quartiles = np.quantile(np.asarray(samples, dtype=np.float64), [0.25, 0.5, 0.75])
    low, median, high = quartiles.tolist()
    return Summary(len(samples), median, low, high)
