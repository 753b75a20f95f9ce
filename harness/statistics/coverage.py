"""How often intervals of the median hold it, by simulation: ``python -m harness.statistics.coverage FILE.csv``.

A dependent series of any distribution is a Gaussian first-order autoregression whose every value is taken to the
distribution's quantile of the same probability (a Gaussian copula).
"""

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy

from harness.statistics.dependence import Array
from harness.statistics.series import median_interval

COUNTS = (5, 6, 8, 10, 15, 20, 22, 24, 30, 50, 100)
CORRELATIONS = (0.0, 0.3, 0.6, 0.8)
RUNS = 4000
DISTRIBUTIONS: dict[str, Callable[[Array], Array]] = {
    "normal": lambda z: 1 + 0.02 * z,
    "exponential": lambda z: -scipy.special.log_ndtr(-z),
    "log-normal": np.exp,
    "two modes": lambda z: np.where(z > 0.6, 10 + z, z),
}
"""A standard normal value taken to the distribution; of the two modes, the upper one holds 27 %."""


class Coverage(NamedTuple):
    """What became of the intervals of as many series of one kind."""

    distribution: str
    correlation: float
    """Of neighbours, before they were taken to the distribution."""
    samples: int
    level: float
    """What the intervals say; of so many samples the same in every series."""
    runs: int
    held: int
    """Intervals with the distribution's median between their ends."""

    @property
    def share(self) -> float:
        """The coverage."""
        return self.held / self.runs


def coverage(distribution: str, correlation: float, samples: int, runs: int, seed: int = 0) -> Coverage:
    """Draw ``runs`` series, and count those whose 95 % interval holds the median."""
    draw = DISTRIBUTIONS[distribution]
    median = float(draw(np.zeros(1))[0])
    rng = np.random.default_rng([seed, samples, round(100 * correlation)])
    intervals = [median_interval(draw(autoregression(rng, samples, correlation)).tolist()) for _ in range(runs)]
    held = sum(interval.low <= median <= interval.high for interval in intervals)
    return Coverage(distribution, correlation, samples, intervals[0].level, runs, held)


def autoregression(rng: np.random.Generator, count: int, correlation: float) -> Array:
    """A stationary Gaussian series of variance 1 in which each value is ``correlation`` times the last, and noise."""
    pushes = rng.standard_normal(count)
    pushes[1:] *= np.sqrt(1 - correlation**2)
    for index in range(1, count):
        pushes[index] += correlation * pushes[index - 1]
    return pushes


def simulate() -> Iterator[Coverage]:
    """The published table, row by row."""
    for distribution in DISTRIBUTIONS:
        for correlation in CORRELATIONS:
            for samples in COUNTS:
                yield coverage(distribution, correlation, samples, RUNS)


def main(path: Path) -> None:
    """Write the table, which takes some minutes."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Coverage._fields, "share"])
        for found in simulate():
            writer.writerow([*found, round(found.share, 4)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
