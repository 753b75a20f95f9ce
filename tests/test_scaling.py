import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scaling import Law, scaling

STEPS = (1, 2, 4, 8, 16, 32, 64)


def law(metric: str, of: Callable[[int], float], steps: tuple[int, ...] = STEPS) -> Law:
    return scaling(metric, {k: of(k) for k in steps}).law


def test_a_line_is_linear_and_its_slope_is_said() -> None:
    found = scaling("peak_bytes", {k: 58e6 + 26.4e6 * k for k in STEPS})
    assert found.law is Law.LINEAR
    assert found.slope == pytest.approx(26.4e6)
    assert found.intercept == pytest.approx(58e6)
    assert found.r_squared == pytest.approx(1.0)
    assert found.words() == "grows by 26.4 MB a step"


def test_a_constant_is_flat() -> None:
    found = scaling("peak_bytes", dict.fromkeys(STEPS, 77e6))
    assert found.law is Law.FLAT
    assert found.words() == "is flat at 77 MB"


def test_flat_has_its_range_where_there_is_one() -> None:
    assert scaling("peak_bytes", {1: 77.0e6, 4: 77.4e6}).words() == "is flat (77 MB to 77.4 MB)"


@pytest.mark.parametrize(("spread", "expected"), [(0.0099, Law.FLAT), (0.011, Law.NEITHER)])
def test_flat_ends_at_one_percent(spread: float, expected: Law) -> None:
    assert law("peak_bytes", lambda k: 1e6 * (1 - spread) if k == 8 else 1e6) is expected


def test_too_short_a_range_is_not_called_flat() -> None:
    slow = {1: 70.47e6, 2: 70.94e6}  # grows by 0.47 MB a step, 0.7 % in all
    assert scaling("peak_bytes", slow).law is Law.NEITHER
    assert scaling("peak_bytes", {4: 70e6, 16: 70e6}).law is Law.FLAT
    assert scaling("peak_bytes", {4: 70e6, 15: 70e6}).law is Law.NEITHER


def test_two_points_make_no_line() -> None:
    found = scaling("peak_bytes", {1: 84e6, 16: 480e6})
    assert found.law is Law.NEITHER
    assert found.words() == "goes from 84 MB at K = 1 to 480 MB at K = 16"
    assert law("peak_bytes", lambda k: 1e6 * k, (1, 2, 3)) is Law.LINEAR


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        (lambda k: k**1.002, Law.LINEAR),
        (lambda k: 58e6 + 26.4e6 * k**1.002, Law.LINEAR),
        (lambda k: k**0.95, Law.LINEAR),
        (lambda k: k**1.09, Law.LINEAR),
        (lambda k: k**1.11, Law.SUPERLINEAR),
        (lambda k: k**2.0, Law.SUPERLINEAR),
        (lambda k: 70 + 0.01 * k**2, Law.SUPERLINEAR),
        (lambda k: k * math.log2(2 * k), Law.SUPERLINEAR),
        (lambda k: k**0.89, Law.SUBLINEAR),
        (math.sqrt, Law.SUBLINEAR),
        (lambda k: 5 + math.log(k), Law.SUBLINEAR),
        (lambda k: 2.0**k, Law.NEITHER),
        (lambda k: 2.0 ** (k / 8), Law.NEITHER),
        (lambda k: 1e6 + 1e6 * (k % 3), Law.NEITHER),
    ],
)
def test_the_exponent_s_interval_decides(growth: Callable[[int], float], expected: Law) -> None:
    assert law("peak_bytes", growth) is expected


def test_an_exponent_has_its_interval_and_the_words_too() -> None:
    wobble = dict(zip(STEPS, (1.02, 0.98, 1.01, 0.99, 1.02, 0.99, 1.0), strict=True))
    found = scaling("peak_bytes", {k: 1e6 * (50 + k**2) * wobble[k] for k in STEPS})
    assert found.curve is not None
    assert found.exponent == found.curve.exponent
    assert 1.85 < found.curve.low < found.curve.exponent < found.curve.high < 2.15
    ends = f"{found.curve.low:.2f} to {found.curve.high:.2f}"
    assert found.words() == f"grows faster than linearly, as K^{found.exponent:.2f} ({ends})"


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        (lambda k: 1e6 * k**1.9, "grows faster than linearly, as K^1.90"),
        (lambda k: 1e6 * math.sqrt(k), "grows slower than linearly, as K^0.50"),
        (lambda k: 1e6 * (5 + math.log(k)), "grows slower than linearly, as log K"),
        (lambda k: 1e6 * (5 - 1 / k), "grows slower than linearly, towards a limit, as K^-1.00"),
        (lambda k: 1e6 * (1 + 5 / k), "falls slower than linearly, towards a limit, as K^-1.00"),
        (lambda k: 1e6 * (5000 - k**2), "falls faster than linearly, as K^2.00"),
    ],
)
def test_bends_are_said(growth: Callable[[int], float], expected: str) -> None:
    assert scaling("peak_bytes", {k: growth(k) for k in STEPS}).words() == expected


def test_one_point_off_the_line_is_not_hidden_by_the_large_ones() -> None:
    def kinked(k: int) -> float:
        return 58e6 + 26.4e6 * k + (20e6 if k == 1 else 0)

    assert np.corrcoef(STEPS, [kinked(k) for k in STEPS])[0, 1] ** 2 > 0.999
    assert law("peak_bytes", kinked) is Law.NEITHER


def test_where_the_exponent_is_not_told_a_line_decides() -> None:
    values = {1: 0.090, 2: 0.102, 4: 0.119, 8: 0.163}
    found = scaling("wall_seconds", values)
    assert found.curve is not None
    assert found.curve.low < 0.9 < 1.1 < found.curve.high
    assert found.law is Law.LINEAR
    assert scaling("wall_seconds", values | {8: 0.130}).law is Law.NEITHER


def test_an_exponent_takes_four_k() -> None:
    quadratic = {k: 1e6 * k**2 for k in (1, 2, 3, 4)}
    assert scaling("peak_bytes", quadratic).exponent == pytest.approx(2)
    del quadratic[3]
    found = scaling("peak_bytes", quadratic)
    assert (found.curve, found.without_exponent, found.law) == (None, "fewer than 4 K", Law.NEITHER)


def test_what_does_not_grow_has_no_exponent() -> None:
    for values in ({1: 7.0, 2: 7.0, 4: 7.0, 8: 7.0}, {1: 7.0, 2: 7.0}, {1: 100.0, 2: 100.1, 4: 100.2, 8: 100.4}):
        found = scaling("peak_bytes", values)
        assert (found.exponent, found.without_exponent) == (None, "it does not grow")


def test_an_exponent_beyond_those_searched_is_said() -> None:
    found = scaling("peak_bytes", {k: 1e6 * k**5 for k in STEPS})
    assert (found.curve, found.without_exponent) == (None, "none from -2 to 4 fits best")
    assert found.law is Law.NEITHER


def test_a_constant_over_a_short_range_is_not_called_linear() -> None:
    assert law("peak_bytes", lambda k: 77e6, (8, 12, 16)) is Law.NEITHER


@pytest.mark.parametrize("metric", ["hvp_count", "wall_seconds"])
def test_zeros_are_values_like_others(metric: str) -> None:
    assert law(metric, lambda k: 0.0) is Law.FLAT
    assert law(metric, lambda k: k - 1.0) is Law.LINEAR
    assert scaling(metric, {k: (k - 1.0) * 3 for k in (1, 2, 3)}).slope == pytest.approx(3)
    assert law(metric, lambda k: (k - 1.0) ** 2) is Law.NEITHER


def test_two_k_have_a_slope_without_interval() -> None:
    found = scaling("peak_bytes", {1: 84e6, 16: 480e6})
    assert (found.slope, found.slope_interval) == (pytest.approx(26.4e6), None)
    wide = scaling("peak_bytes", {1: 84e6, 8: 270e6, 16: 480e6}).slope_interval
    assert wide is not None
    assert wide[0] < 26.4e6 < wide[1]


def calls(growth: Callable[[int], float], noise: float, metric: str = "wall_seconds") -> Counter[Law]:
    """The laws of 300 noisy curves over K = 1, 2, 4, 8, 16."""
    rng = np.random.default_rng(3)
    ks = STEPS[:5]
    return Counter(
        scaling(metric, {k: growth(k) * (1 + noise * rng.standard_normal()) for k in ks}).law for _ in range(300)
    )


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.10])
@pytest.mark.parametrize("base", [1, 10])
def test_a_noisy_line_bends_at_most_1_time_in_20(base: int, noise: float) -> None:
    found = calls(lambda k: base + k, noise)
    assert found[Law.SUPERLINEAR] + found[Law.SUBLINEAR] <= 15
    assert found[Law.FLAT] == 0
    if noise == 0.02:
        assert found[Law.LINEAR] >= 285


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.10])
@pytest.mark.parametrize(
    ("growth", "bend"), [(lambda k: 1 + k**2, Law.SUPERLINEAR), (lambda k: 1 + k**0.5, Law.SUBLINEAR)], ids=["k²", "√k"]
)
def test_a_noisy_bend_is_called_linear_at_most_1_time_in_20(
    growth: Callable[[int], float], bend: Law, noise: float
) -> None:
    found = calls(growth, noise)
    assert found[Law.LINEAR] + found[Law.FLAT] <= 15
    assert found[{Law.SUPERLINEAR: Law.SUBLINEAR, Law.SUBLINEAR: Law.SUPERLINEAR}[bend]] <= 7
    if noise == 0.02:
        assert found[bend] >= 210


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.10])
def test_a_noisy_constant_is_flat_or_nothing(noise: float) -> None:
    found = calls(lambda k: 1.0, noise)
    assert found[Law.FLAT] + found[Law.NEITHER] >= 285
    if noise == 0.02:
        assert found[Law.FLAT] >= 285


@given(
    values=st.lists(st.floats(0.5, 100.0), min_size=2, max_size=6),
    unit=st.integers(-20, 20).map(lambda exponent: 2.0**exponent),
    metric=st.sampled_from(["peak_bytes", "wall_seconds"]),
)
def test_the_unit_scales_the_slope_and_nothing_else(values: list[float], unit: float, metric: str) -> None:
    found, scaled = (scaling(metric, {2**i: of * value for i, value in enumerate(values)}) for of in (1.0, unit))
    assert scaled.slope == unit * found.slope
    assert (scaled.law, scaled.exponent, scaled.r_squared) == (found.law, found.exponent, found.r_squared)


@given(
    exponent=st.one_of(st.floats(0.2, 0.88), st.floats(0.92, 1.08), st.floats(1.12, 3.5)),
    constant=st.floats(0, 100),
    falls=st.booleans(),
)
def test_an_exact_power_law_has_the_law_of_its_exponent(exponent: float, constant: float, falls: bool) -> None:
    top = 2 * STEPS[-1] ** exponent
    found = scaling("flops", {k: constant + (top - k**exponent if falls else k**exponent) for k in STEPS})
    expected = Law.SUBLINEAR if exponent < 0.9 else Law.SUPERLINEAR if exponent > 1.1 else Law.LINEAR
    assert found.law in (expected, Law.FLAT)
    if found.law is not Law.FLAT:
        assert found.exponent == pytest.approx(exponent, abs=1e-4)
        assert (found.slope < 0) is falls


def test_points_near_a_line_but_unlike_one_are_not_called_linear() -> None:
    assert scaling("peak_bytes", {1: 70e6, 2: 72e6, 4: 73e6, 8: 75e6}).law is Law.NEITHER


def test_times_have_wider_tolerances_and_looser_words() -> None:
    noise = dict(zip(STEPS, (1.05, 0.96, 1.04, 0.97, 1.03, 0.98, 1.02), strict=True))
    noisy = {k: (0.02 + 0.053 * k) * noise[k] for k in STEPS}
    assert scaling("wall_seconds", noisy).words() == "takes about 53 ms more a step"
    assert scaling("wall_seconds", {1: 0.050, 4: 0.054, 16: 0.051}).law is Law.FLAT
    off_by_6_percent = {1: 0.05, 2: 0.11, 4: 0.20}
    assert scaling("wall_seconds", off_by_6_percent).law is Law.LINEAR
    assert scaling("peak_bytes", off_by_6_percent).law is Law.NEITHER


def test_a_decline_is_said_as_one() -> None:
    assert scaling("peak_bytes", {1: 90e6, 2: 80e6, 3: 70e6}).words() == "falls by 10 MB a step"
    assert scaling("wall_seconds", {1: 0.9, 2: 0.8, 3: 0.7}).words() == "takes about 100 ms less a step"


def test_resident_memory_is_noisy_but_not_a_time() -> None:
    assert scaling("rss_peak_bytes", {1: 10e6, 2: 20e6, 3: 30e6}).words() == "grows by about 10 MB a step"


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="two distinct"):
        scaling("peak_bytes", {1: 1.0})
    with pytest.raises(ValueError, match="not finite"):
        scaling("peak_bytes", {1: 1.0, 2: math.nan, 4: 1.0})


@given(
    slope=st.floats(1e3, 1e9),
    intercept=st.floats(0, 1e10),
    steps=st.sets(st.integers(1, 512), min_size=3, max_size=9),
)
def test_an_exact_line_is_never_called_anything_but_linear_or_flat(
    slope: float, intercept: float, steps: set[int]
) -> None:
    found = scaling("peak_bytes", {k: intercept + slope * k for k in steps})
    assert found.law in (Law.LINEAR, Law.FLAT)
    if found.law is Law.FLAT:
        assert slope * (max(steps) - min(steps)) <= 0.0101 * (intercept + slope * max(steps))
    assert (found.first[0], found.last[0]) == (min(steps), max(steps))
