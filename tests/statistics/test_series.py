"""What is said of a series, against series whose nature is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from harness.statistics import Interval, Remark, mad, median_interval, outliers, remarks
from harness.statistics.coverage import autoregression
from tests.statistics import noise


def share_of(remark: Remark, series: Callable[[np.random.Generator, int], noise.Array], count: int, runs: int) -> float:
    rng = np.random.default_rng(count)
    return sum(remark in remarks(list(series(rng, count))) for _ in range(runs)) / runs


@pytest.mark.parametrize("series", [noise.normal, noise.lognormal, noise.exponential, noise.with_outliers])
@pytest.mark.parametrize("count", [10, 20, 50])
@pytest.mark.parametrize("remark", [Remark.DRIFTING, Remark.BIMODAL])
def test_steady_noise_is_not_remarked_upon(
    remark: Remark, series: Callable[[np.random.Generator, int], noise.Array], count: int
) -> None:
    assert share_of(remark, series, count, runs=400) <= 0.02


@pytest.mark.parametrize("series", [noise.normal, noise.lognormal, noise.exponential, noise.with_outliers])
def test_steady_noise_is_not_unstable(series: Callable[[np.random.Generator, int], noise.Array]) -> None:
    assert share_of(Remark.UNSTABLE, series, 20, runs=400) <= 0.02


@pytest.mark.parametrize(("count", "power"), [(12, 0.8), (20, 0.95), (100, 0.99)])
def test_a_drift_of_five_per_cent_is_found(count: int, power: float) -> None:
    assert share_of(Remark.DRIFTING, noise.drifting, count, runs=200) >= power


@pytest.mark.parametrize(("count", "power"), [(15, 0.8), (20, 0.95), (100, 0.99)])
def test_two_modes_five_per_cent_apart_are_found(count: int, power: float) -> None:
    assert share_of(Remark.BIMODAL, noise.two_modes, count, runs=200) >= power


def test_a_drift_or_modes_too_small_to_matter_are_passed_over() -> None:
    small_drift = list(np.linspace(1.0, 1.02, 50))
    assert remarks(small_drift) == ()
    assert remarks([each * 1.02 for each in small_drift[:1]] * 3 + list(np.linspace(1.0, 1.1, 50))) != ()
    assert remarks([1.0, 1.015] * 20) == ()
    assert remarks([1.0, 1.025] * 20) == (Remark.BIMODAL,)


def test_a_wide_interval_is_unstable() -> None:
    rng = np.random.default_rng(0)
    assert Remark.UNSTABLE in remarks(list(np.exp(0.3 * rng.standard_normal(20))))
    assert remarks([1.0, 1.05, 1.09]) == ()
    assert remarks([1.0, 1.05, 1.2]) == (Remark.UNSTABLE,)


def test_times_that_wander_are_unstable_though_they_would_not_be_if_they_were_independent() -> None:
    """Their median, over many series, scatters by some 4 %: its interval is ±8 %."""
    rng = np.random.default_rng(0)
    series = [np.exp(0.1 * autoregression(rng, 50, 0.8)) for _ in range(100)]
    assert 0.035 < np.std([np.median(each) for each in series]) < 0.055
    assert sum(Remark.UNSTABLE in remarks(list(each)) for each in series) >= 75
    assert sum(Remark.UNSTABLE in remarks(list(rng.permutation(each))) for each in series) <= 25


def test_two_samples_say_nothing_and_equal_ones_nothing_bad() -> None:
    assert remarks([1.0, 9.0]) == ()
    assert remarks([1.0] * 100) == ()


def test_one_step_up_is_a_drift_and_two_modes_and_has_a_median_anywhere_between() -> None:
    rng = np.random.default_rng(0)
    series = np.concatenate([np.full(30, 1.0), np.full(30, 1.1)]) * (1 + 0.005 * rng.standard_normal(60))
    assert set(remarks(list(series))) == {Remark.DRIFTING, Remark.BIMODAL, Remark.UNSTABLE}


def test_a_long_series_is_judged_like_a_short_one() -> None:
    rng = np.random.default_rng(0)
    assert remarks(list(noise.drifting(rng, 20_000))) == (Remark.DRIFTING,)


def test_every_remark_says_what_it_means() -> None:
    assert "±5%" in Remark.UNSTABLE.meaning
    assert len({remark.meaning for remark in Remark}) == len(Remark)
    assert str(Remark.BIMODAL) == "bimodal"


@pytest.mark.parametrize(("count", "level"), [(1, 0.0), (2, 0.0), (3, 0.25), (5, 0.4), (10, 0.7), (21, 0.92)])
def test_few_samples_give_their_range_and_no_more_than_it_holds(count: int, level: float) -> None:
    samples = list(np.random.default_rng(count).permutation(count).astype(float))
    interval = median_interval(samples)
    assert (interval.low, interval.high) == (0.0, count - 1)
    assert level <= interval.level < 0.95
    assert interval.half_width == (count - 1) / 2


def test_22_samples_are_the_fewest_with_an_interval_of_95_per_cent() -> None:
    samples = [1.0, 3.0, 2.0, 4.0] * 6
    assert median_interval(samples[:21]).level < 0.95
    assert median_interval(samples[:22]).level == median_interval(samples).level == 0.95


def test_independent_samples_end_at_the_sign_test_s_order_statistics() -> None:
    """Neighbours that alternate are not alike: the interval is that of the binomial distribution, between samples."""
    samples = [float(50 + (-1) ** index * (index // 2)) for index in range(100)]
    interval, ordered = median_interval(samples), sorted(samples)
    inside = [sum(math.comb(100, below) for below in range(k, 101 - k)) / 2**100 for k in (40, 41)]
    assert inside[0] > 0.95 > inside[1]  # the 40th smallest and largest hold it, the 41st do not
    assert ordered[39] <= interval.low <= ordered[40]
    assert ordered[59] <= interval.high <= ordered[60]


def test_neighbours_that_are_alike_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    alike = autoregression(rng, 60, 0.8)
    shuffled = rng.permutation(alike)
    assert median_interval(list(alike)).half_width > 1.5 * median_interval(list(shuffled)).half_width


def test_an_interval_is_the_same_in_any_unit_and_either_way_up() -> None:
    samples = list(noise.lognormal(np.random.default_rng(0), 40))
    interval, turned = median_interval(samples), median_interval([-8 * each for each in samples])
    assert (turned.low, turned.high) == (pytest.approx(-8 * interval.high), pytest.approx(-8 * interval.low))


def test_equal_samples_have_an_interval_without_width() -> None:
    assert median_interval([2.0] * 30) == Interval(2.0, 2.0, 0.95)


def test_the_interval_narrows_with_a_lower_level() -> None:
    samples = list(noise.lognormal(np.random.default_rng(0), 50))
    assert median_interval(samples, 0.5).half_width < median_interval(samples, 0.99).half_width / 2


def test_mad_and_outliers_of_known_samples() -> None:
    samples = [10.0, 11.0, 9.0, 10.0, 30.0, 10.5, 9.5, 1.0]
    assert mad(samples) == 0.75
    assert outliers(samples) == [4, 7]
    assert outliers([10.0, 11.0, 9.0]) == []


def test_an_outlier_does_not_hide_two_modes() -> None:
    assert Remark.BIMODAL in remarks([*[1.0, 1.05] * 20, 20.0])


def test_ties_count_for_what_they_are() -> None:
    assert Remark.DRIFTING in remarks([1.0] * 6 + [1.05] * 6)
