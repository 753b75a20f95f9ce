"""Planted series of times, seeded by the generator given."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rng = np.random.Generator


def normal(rng: Rng, count: int) -> Array:
    return 1 + 0.02 * rng.standard_normal(count)


def lognormal(rng: Rng, count: int) -> Array:
    return np.exp(0.04 * rng.standard_normal(count))


def exponential(rng: Rng, count: int) -> Array:
    return 1 + rng.exponential(0.03, count)


def with_outliers(rng: Rng, count: int) -> Array:
    return normal(rng, count) * np.where(rng.random(count) < 0.05, 3.0, 1.0)


def drifting(rng: Rng, count: int) -> Array:
    return (1 + 0.01 * rng.standard_normal(count)) * np.linspace(1.0, 1.05, count)


def two_modes(rng: Rng, count: int) -> Array:
    return (1 + 0.005 * rng.standard_normal(count)) * np.where(rng.random(count) < 0.5, 1.05, 1.0)
