"""The inflation of series whose autocorrelation is known."""

import math

import numpy as np
import pytest

from harness.statistics.coverage import autoregression
from harness.statistics.dependence import autoregressive_inflation, inflation


def of_counts(correlation: float, count: int, runs: int) -> float:
    """Variance of the number of samples below the median, over that of independent ones, by simulation."""
    rng = np.random.default_rng(0)
    below = [int((autoregression(rng, count, correlation) < 0).sum()) for _ in range(runs)]
    return float(np.var(below)) / (count / 4)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("count", [5, 30])
def test_an_autoregression_s_is_the_variance_of_the_number_below_the_median(count: int, correlation: float) -> None:
    runs = 4000
    spread = math.sqrt(2 / runs)  # of a variance of a normal variable, as a share
    assert autoregressive_inflation(correlation, count) == pytest.approx(
        of_counts(correlation, count, runs), rel=5 * spread
    )


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6, 0.8])
def test_a_long_series_shows_its_own(correlation: float) -> None:
    rng, truth = np.random.default_rng(1), autoregressive_inflation(correlation, 1000)
    likeliest = [inflation(autoregression(rng, 1000, correlation), doubt=0.0) for _ in range(30)]
    assert np.median(likeliest) == pytest.approx(truth, rel=0.15)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.8])
def test_doubt_makes_it_large_enough_in_nearly_all_short_series(correlation: float) -> None:
    rng, truth = np.random.default_rng(2), autoregressive_inflation(correlation, 30)
    series = [autoregression(rng, 30, correlation) for _ in range(300)]
    assert np.mean([inflation(each) >= truth for each in series]) >= 0.85
    assert np.mean([inflation(each, doubt=0.0) >= truth for each in series]) <= 0.75 or correlation == 0


def test_noise_that_lasts_long_counts_beyond_what_neighbours_show() -> None:
    """Half white, half with a correlation of .95: neighbours are alike by .48, and so they are ten samples on."""
    rng = np.random.default_rng(3)
    found = [inflation(autoregression(rng, 1000, 0.95) + rng.standard_normal(1000)) for _ in range(20)]
    assert np.median(found) > 2 * autoregressive_inflation(0.55, 1000)


def test_only_the_order_of_the_values_counts() -> None:
    values = autoregression(np.random.default_rng(4), 40, 0.5)
    assert inflation(np.exp(3 * values)) == inflation(values)


def test_equal_values_and_alternating_ones_show_no_likeness() -> None:
    assert inflation(np.ones(50), doubt=0.0) == pytest.approx(1.0, abs=0.3)
    assert inflation(np.array([1.0, 2.0] * 50)) == 1.0
    assert inflation(np.ones(2)) >= 1.0
