"""Verdicts on pairs, and on series taken apart, whose difference is known."""

import math
from collections import Counter

import numpy as np
import pytest

from harness.statistics import Verdict, compare, compare_paired, required_pairs
from tests.statistics.noise import autocorrelated


def pairs(
    rng: np.random.Generator, count: int, effect: float, deviation: float, correlation: float
) -> tuple[list[float], list[float]]:
    """Times that swing by some 10 % together, and by ``deviation`` apart."""
    together = 0.1 * autocorrelated(rng, count, 0.9)
    apart = deviation * autocorrelated(rng, count, correlation)
    return list(np.exp(together)), list((1 + effect) * np.exp(together + apart))


def verdicts(
    count: int, effect: float, deviation: float, correlation: float = 0.5, runs: int = 400
) -> Counter[Verdict]:
    rng = np.random.default_rng(count)
    drawn = (pairs(rng, count, effect, deviation, correlation) for _ in range(runs))
    return Counter(compare_paired(base, head).verdict for base, head in drawn)


@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("count", [10, 16, 30, 60])
def test_the_same_code_is_neither_worse_nor_better(count: int, deviation: float) -> None:
    found = verdicts(count, effect=0.0, deviation=deviation)
    assert found[Verdict.WORSE] + found[Verdict.BETTER] <= 0.01 * found.total()


def test_the_same_code_is_the_same_given_pairs_enough() -> None:
    assert verdicts(60, effect=0.0, deviation=0.01)[Verdict.SAME] >= 0.9 * 400


@pytest.mark.parametrize(("count", "deviation"), [(30, 0.01), (60, 0.03), (100, 0.04)])
def test_five_per_cent_slower_is_worse_and_faster_is_better(count: int, deviation: float) -> None:
    assert verdicts(count, effect=0.05, deviation=deviation)[Verdict.WORSE] >= 0.9 * 400
    assert verdicts(count, effect=-0.05, deviation=deviation)[Verdict.BETTER] >= 0.9 * 400


def test_outliers_do_not_decide() -> None:
    base = [1.0 + 0.001 * (index % 5) for index in range(30)]
    head = [time * (10.0 if index % 10 == 0 else 1.0) for index, time in enumerate(base)]
    assert compare_paired(base, head).verdict is Verdict.SAME


def test_a_known_ratio_and_its_interval() -> None:
    base = [1.0] * 40
    head = [1.10 + 0.001 * (7 * index % 40) for index in range(40)]
    comparison = compare_paired(base, head)
    assert comparison.ratio == pytest.approx(1.1195, abs=1e-3)
    assert 1.10 <= comparison.low < comparison.ratio < comparison.high <= 1.139
    assert comparison.verdict is Verdict.WORSE
    turned = compare_paired(head, base)
    assert turned.verdict is Verdict.BETTER
    assert turned.ratio == pytest.approx(1 / comparison.ratio)
    assert (turned.low, turned.high) == (pytest.approx(1 / comparison.high), pytest.approx(1 / comparison.low))


def test_a_difference_that_is_sure_but_small_is_the_same() -> None:
    assert compare_paired([1.0] * 30, [1.01] * 30).verdict is Verdict.SAME
    assert compare_paired([1.0] * 30, [1.01] * 30, minimum_effect=0.005).verdict is Verdict.WORSE


def test_too_few_pairs_leave_it_unclear() -> None:
    few, enough = compare_paired([1.0] * 15, [2.0] * 15), compare_paired([1.0] * 16, [2.0] * 16)
    assert (few.ratio, few.low, few.high, few.verdict) == (pytest.approx(2.0), 0.0, math.inf, Verdict.UNCLEAR)
    assert enough.verdict is Verdict.WORSE
    assert compare_paired([1.0] * 15, [2.0] * 15, level=0.9).verdict is Verdict.WORSE


def test_neighbours_that_agree_widen_the_interval() -> None:
    scattered = [1.0 + (0.01 if index % 2 else -0.01) * (index + 1) / 60 for index in range(60)]
    ordered = sorted(scattered)
    widths = [compare_paired([1.0] * 60, head) for head in (scattered, ordered)]
    assert widths[1].high - widths[1].low > 1.5 * (widths[0].high - widths[0].low)


@pytest.mark.parametrize(("base", "head"), [([1.0], [1.0, 1.0]), ([], [])])
def test_what_are_no_pairs_is_refused(base: list[float], head: list[float]) -> None:
    with pytest.raises(ValueError, match="are not pairs"):
        compare_paired(base, head)


def apart(count: int, effect: float, deviation: float, correlation: float, runs: int = 300) -> Counter[Verdict]:
    rng = np.random.default_rng(count)

    def series() -> list[float]:
        return list(np.exp(deviation * autocorrelated(rng, count, correlation)))

    return Counter(compare(series(), [(1 + effect) * time for time in series()]).verdict for _ in range(runs))


def test_series_taken_apart_are_compared_by_their_medians() -> None:
    same = apart(30, effect=0.0, deviation=0.03, correlation=0.5)
    assert same[Verdict.WORSE] + same[Verdict.BETTER] <= 0.015 * same.total()
    assert apart(60, effect=0.05, deviation=0.03, correlation=0.5)[Verdict.WORSE] >= 0.9 * 300
    assert apart(60, effect=0.0, deviation=0.01, correlation=0.0)[Verdict.SAME] >= 0.9 * 300
    comparison = compare([1.0, 1.1, 0.9] * 5, [2.0, 2.2, 1.8] * 7)
    assert comparison.ratio == pytest.approx(2.0)
    assert 1.6 < comparison.low < 2.0 < comparison.high < 2.5


def test_series_too_short_for_the_level_are_unclear() -> None:
    assert compare([1.0] * 7, [2.0] * 100).verdict is Verdict.UNCLEAR
    assert compare([1.0] * 8, [2.0] * 100).verdict is Verdict.WORSE


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.06])
def test_the_required_pairs_reach_the_power(noise: float) -> None:
    count, rng = required_pairs(noise, 0.05, power=0.9), np.random.default_rng(0)
    found = [compare_paired([1.0] * count, list(1.05 * np.exp(noise * rng.standard_normal(count)))) for _ in range(400)]
    assert sum(each.verdict is Verdict.WORSE for each in found) >= 0.88 * 400


def test_more_pairs_are_required_for_more_noise_more_power_and_less_effect() -> None:
    assert required_pairs(0.06, 0.05) > 2 * required_pairs(0.03, 0.05)
    assert required_pairs(0.06, 0.05, power=0.99) > required_pairs(0.06, 0.05)
    assert required_pairs(0.06, 0.05, level=0.999) > required_pairs(0.06, 0.05)
    assert required_pairs(0.06, 0.03) > 2 * required_pairs(0.06, 0.05)
    assert required_pairs(0.06, 0.021) > 5000  # it is hard to tell from the smallest that matters
    with pytest.raises(ValueError, match="not above the smallest that matters"):
        required_pairs(0.06, 0.02)
