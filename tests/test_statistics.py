import math

import numpy as np
import pytest

from harness.statistics import fit_line, fit_power_law, summarise, t_quantile


def test_summary_is_median_and_quartiles() -> None:
    found = summarise([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.count, found.low, found.median, found.high) == (5, 2.0, 3.0, 4.0)


def test_a_line_needs_two_distinct_x() -> None:
    assert fit_line([1, 2, 3], [5, 7, 9]).slope == pytest.approx(2)
    with pytest.raises(ValueError, match="two distinct x"):
        fit_line([1, 1], [2, 3])


def test_a_power_law_is_found_exactly() -> None:
    law = fit_power_law([1, 10, 100], [2, 20 * math.sqrt(10), 2000])
    assert law.exponent == pytest.approx(1.5)
    assert law.half_width == pytest.approx(0, abs=1e-12)
    assert (law.r_squared, law.count) == (pytest.approx(1.0), 3)


def test_an_interval_needs_three_points() -> None:
    with pytest.raises(ValueError, match="three points"):
        fit_power_law([1, 2], [1, 2])


def test_the_interval_holds_the_truth_about_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    x = [1.0, 2.0, 4.0, 8.0, 16.0]
    held = 0
    for _ in range(1000):
        law = fit_power_law(x, [value * math.exp(0.1 * rng.standard_normal()) for value in x])
        held += abs(law.exponent - 1) <= law.half_width
    assert 925 <= held <= 972


def test_quantiles_fall_towards_the_normal_distribution_s() -> None:
    quantiles = [t_quantile(freedom) for freedom in range(1, 40)]
    assert quantiles == sorted(quantiles, reverse=True)
    assert (quantiles[0], quantiles[4], quantiles[-1]) == (12.706, 2.571, 2.042)
