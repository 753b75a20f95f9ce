"""Bounds on counts of random trials, which a right program misses once in a million at most."""

from scipy.stats import binom

FALSE_ALARM = 1e-6
"""Probability that a test fails though the code is right."""


def at_least(trials: int, power: float) -> int:
    """Successes among ``trials`` whose probability is at least ``power``."""
    return int(binom.ppf(FALSE_ALARM, trials, power))


def at_most(trials: int, rate: float) -> int:
    """Successes among ``trials`` whose probability is at most ``rate``."""
    return int(binom.isf(FALSE_ALARM, trials, rate))
