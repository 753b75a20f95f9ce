"""Intervals of the median hold it as often as they say, though neighbours in time are alike."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from harness.statistics import median_interval
from harness.statistics.coverage import CORRELATIONS, COUNTS, DISTRIBUTIONS, Coverage, autoregression, coverage

PUBLISHED = Path(__file__).parents[2] / "reports" / "statistics-coverage.csv"
LEAST = 0.93
"""Coverage of what is said to be 95 %."""
FALSE_ALARM = 1e-6


def least_held(runs: int, share: float) -> int:
    """Fewer of ``runs`` intervals hold the median with a probability below :data:`FALSE_ALARM`, if ``share`` do."""
    return int(binom.ppf(FALSE_ALARM, runs, share))


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("count", [5, 10, 22, 24, 40, 100])
def test_an_interval_holds_the_median_as_often_as_it_says(count: int, correlation: float) -> None:
    found = coverage("exponential", correlation, count, runs=300)
    said = LEAST if found.level == 0.95 else found.level
    assert found.held >= least_held(found.runs, said)
    assert (found.level == 0.95) is (count >= 22)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_no_distribution_makes_it_hold_less(distribution: str) -> None:
    found = coverage(distribution, 0.6, 30, runs=300)
    assert found.held >= least_held(300, LEAST)


def test_an_autoregression_with_skewed_pushes_is_covered_too() -> None:
    """Not a Gaussian series under another distribution: each value is 0.7 times the last and an exponential push."""
    rng = np.random.default_rng(0)

    def series(count: int) -> list[float]:
        value, values = 0.0, list[float]()
        for push in rng.exponential(size=count + 50):
            value = 0.7 * value + float(push)
            values.append(value)
        return values[50:]

    median = float(np.median(series(200_000)))
    intervals = [median_interval(series(40)) for _ in range(300)]
    assert sum(each.low <= median <= each.high for each in intervals) >= least_held(300, LEAST)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_neighbours_are_as_alike_as_they_are_said_to_be(correlation: float) -> None:
    values = autoregression(np.random.default_rng(0), 20_000, correlation)
    assert np.var(values) == pytest.approx(1.0, abs=0.06)
    assert np.corrcoef(values[1:], values[:-1])[0, 1] == pytest.approx(correlation, abs=0.03)
    assert np.corrcoef(values[2:], values[:-2])[0, 1] == pytest.approx(correlation**2, abs=0.03)


def published() -> list[Coverage]:
    with PUBLISHED.open(newline="") as file:
        return [
            Coverage(
                row["distribution"],
                float(row["correlation"]),
                int(row["samples"]),
                float(row["level"]),
                int(row["runs"]),
                int(row["held"]),
            )
            for row in csv.DictReader(file)
        ]


def test_the_published_coverage_is_never_below_what_is_said() -> None:
    found = published()
    kinds = {(each.distribution, each.correlation, each.samples) for each in found}
    assert kinds == {(name, rho, count) for name in DISTRIBUTIONS for rho in CORRELATIONS for count in COUNTS}
    assert min(each.share for each in found if each.level == 0.95) >= LEAST
    for each in found:
        if each.level < 0.95:
            assert each.held >= least_held(each.runs, each.level)


def test_the_published_level_rises_with_the_samples() -> None:
    levels = dict(sorted((each.samples, each.level) for each in published()))
    assert all(fewer <= more for fewer, more in pairwise(levels.values()))
    assert levels[22] == 0.95 > levels[20]


def test_the_published_coverage_is_what_the_simulation_finds() -> None:
    [row] = [each for each in published() if each[:3] == ("normal", 0.8, 24)]
    again = coverage(*row[:3], runs=200)
    assert again.level == pytest.approx(row.level)
    assert least_held(200, row.share) <= again.held
