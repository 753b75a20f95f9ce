"""What is said of a series, against series whose nature is known."""

from collections.abc import Callable

import numpy as np
import pytest

from harness.statistics import Remark, bootstrap_interval, mad, outliers, remarks
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


def test_two_samples_say_nothing_and_equal_ones_nothing_bad() -> None:
    assert remarks([1.0, 9.0]) == ()
    assert remarks([1.0] * 100) == ()


def test_one_step_up_is_a_drift_and_two_modes() -> None:
    rng = np.random.default_rng(0)
    series = np.concatenate([np.full(30, 1.0), np.full(30, 1.1)]) * (1 + 0.005 * rng.standard_normal(60))
    assert set(remarks(list(series))) == {Remark.DRIFTING, Remark.BIMODAL}


def test_a_long_series_is_judged_like_a_short_one() -> None:
    rng = np.random.default_rng(0)
    assert remarks(list(noise.drifting(rng, 20_000))) == (Remark.DRIFTING,)


def test_every_remark_says_what_it_means() -> None:
    assert "±5%" in Remark.UNSTABLE.meaning
    assert len({remark.meaning for remark in Remark}) == len(Remark)
    assert str(Remark.BIMODAL) == "bimodal"


@pytest.mark.parametrize(("count", "level"), [(1, 0.0), (2, 0.5), (3, 0.75), (5, 0.9375)])
def test_few_samples_give_their_range_and_no_more_than_it_holds(count: int, level: float) -> None:
    samples = [3.0, 1.0, 2.0, 5.0, 4.0][:count]
    interval = bootstrap_interval(samples)
    assert (interval.low, interval.high, interval.level) == (min(samples), max(samples), level)
    assert interval.half_width == (max(samples) - min(samples)) / 2


def test_six_samples_give_an_interval_within_their_range() -> None:
    interval = bootstrap_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert interval.level == 0.95
    assert 1.0 <= interval.low < 3.0 < 4.0 < interval.high <= 6.0


@pytest.mark.parametrize(("count", "least"), [(6, 0.91), (10, 0.90), (30, 0.92), (200, 0.92)])
def test_the_interval_holds_the_median_as_often_as_it_says(count: int, least: float) -> None:
    rng = np.random.default_rng(count)
    intervals = [bootstrap_interval(list(noise.lognormal(rng, count))) for _ in range(400)]
    assert least <= np.mean([interval.low <= 1.0 <= interval.high for interval in intervals]) <= 0.99


def test_the_interval_is_that_of_a_plain_bootstrap() -> None:
    samples = noise.lognormal(np.random.default_rng(5), 51)
    drawn = np.random.default_rng(6).choice(samples, (4000, 51))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    interval = bootstrap_interval(list(samples))
    assert interval.low == pytest.approx(low, abs=0.1 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.1 * (high - low))
    assert interval == bootstrap_interval(list(samples))


def test_the_interval_narrows_with_a_lower_level() -> None:
    samples = list(noise.lognormal(np.random.default_rng(0), 50))
    assert bootstrap_interval(samples, 0.5).half_width < bootstrap_interval(samples, 0.99).half_width / 2


def test_mad_and_outliers_of_known_samples() -> None:
    samples = [10.0, 11.0, 9.0, 10.0, 30.0, 10.5, 9.5, 1.0]
    assert mad(samples) == 0.75
    assert outliers(samples) == [4, 7]
    assert outliers([10.0, 11.0, 9.0]) == []


def test_an_outlier_does_not_hide_two_modes() -> None:
    assert Remark.BIMODAL in remarks([*[1.0, 1.05] * 20, 20.0])


def test_ties_count_for_what_they_are() -> None:
    assert Remark.DRIFTING in remarks([1.0] * 6 + [1.05] * 6)
