import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics import EXPONENTS, fit_line, fit_offset_power_law, fit_power_law

STEPS = (1.0, 2.0, 4.0, 8.0, 16.0)
T_2 = 0.95 * math.sqrt(2 / (1 - 0.95**2))
"""The 97.5 % quantile of Student's t with two degrees of freedom, which has a closed form."""


def test_a_line_needs_two_distinct_x() -> None:
    assert fit_line([1, 2, 3], [5, 7, 9]).slope == pytest.approx(2)
    with pytest.raises(ValueError, match="two distinct x"):
        fit_line([1, 1], [2, 3])


def test_a_line_has_its_slope_s_interval_by_student_s_t() -> None:
    line = fit_line([0, 1, 2, 3], [0, 2, 1, 3])  # residuals -0.3, 0.9, -0.9, 0.3: s² = 1.8 / 2, spread 5
    assert line.slope == pytest.approx(0.8)
    assert line.half_width == pytest.approx(T_2 * math.sqrt(0.9 / 5))
    assert line.fitted == pytest.approx([0.3, 1.1, 1.9, 2.7])
    assert line.slope_interval == pytest.approx((0.8 - T_2 * math.sqrt(0.18), 0.8 + T_2 * math.sqrt(0.18)))
    assert fit_line([0, 1], [0, 1]).slope_interval is None


@pytest.mark.parametrize(("count", "quantile"), [(3, math.tan(0.475 * math.pi)), (4, T_2), (200, 1.9720175)])
def test_the_quantile_is_that_of_its_degrees_of_freedom(count: int, quantile: float) -> None:
    """The slope's standard error, by its formula, beside the half-width."""
    x = [float(index) for index in range(count)]
    y = [float(index**2 % 7) for index in range(count)]
    line = fit_line(x, y)
    left = sum((value - at) ** 2 for value, at in zip(y, line.fitted, strict=True))
    spread = sum((value - (count - 1) / 2) ** 2 for value in x)
    assert line.half_width == pytest.approx(quantile * math.sqrt(left / (count - 2) / spread), rel=1e-6)


def test_a_weight_of_two_is_the_point_twice() -> None:
    weighted = fit_line([1, 2, 4], [1, 5, 6], [1, 2, 1])
    repeated = fit_line([1, 2, 2, 4], [1, 5, 5, 6])
    assert (weighted.slope, weighted.intercept) == (pytest.approx(repeated.slope), pytest.approx(repeated.intercept))
    assert weighted.r_squared == pytest.approx(repeated.r_squared)


def test_a_constant_leaves_nothing_over() -> None:
    line = fit_line([1, 2, 4], [0.1, 0.1, 0.1], [1, 2, 3])
    assert (line.slope, line.intercept, line.r_squared, line.half_width) == (0.0, 0.1, 1.0, 0.0)
    assert fit_offset_power_law(STEPS, [0.1] * 5) is None


@pytest.mark.parametrize("exponent", [-1.5, -0.5, 0.3, 1.0, 1.002, 2.0, 3.7])
@pytest.mark.parametrize("constant", [0.0, 1e3])
def test_an_offset_power_law_is_found_exactly(exponent: float, constant: float) -> None:
    law = fit_offset_power_law(STEPS, [constant + 3 * x**exponent for x in STEPS])
    assert law is not None
    assert (law.exponent, law.low, law.high) == (pytest.approx(exponent, abs=1e-6),) * 3
    assert law.low <= law.exponent <= law.high
    assert law.r_squared == pytest.approx(1.0)
    assert law.fitted == pytest.approx([constant + 3 * x**exponent for x in STEPS])


def test_the_power_of_exponent_0_is_the_logarithm() -> None:
    law = fit_offset_power_law(STEPS, [5 - math.log(x) for x in STEPS])
    assert law is not None
    assert (law.low, law.exponent, law.high) == (pytest.approx(0, abs=1e-6),) * 3


@pytest.mark.parametrize("of", [lambda x: x**4.5, lambda x: x**-2.5], ids=["x^4.5", "x^-2.5"])
def test_an_exponent_beyond_those_searched_is_none(of: Callable[[float], float]) -> None:
    assert fit_offset_power_law(STEPS, [of(x) for x in STEPS]) is None


def test_an_interval_is_cut_where_the_search_ends() -> None:
    law = fit_offset_power_law([1, 2, 4, 8], [1.0, 0.9, 1.1, 1.9])
    assert law is not None
    assert (law.low, law.high) == EXPONENTS


def test_the_ends_of_the_interval_are_those_of_the_f_test() -> None:
    """What is left over at each end is 1 + t² / freedom times the least, found here by a line through the powers."""
    y = [2.1, 4.9, 17.5, 62.0, 270.0]
    law = fit_offset_power_law(STEPS, y)
    assert law is not None

    def left(p: float) -> float:
        line = fit_line([x**p for x in STEPS], y)
        return sum((value - at) ** 2 for value, at in zip(y, line.fitted, strict=True))

    assert left(law.exponent) < min(left(law.exponent - 1e-4), left(law.exponent + 1e-4))
    bound = left(law.exponent) * (1 + T_2**2 / 2)
    assert (left(law.low), left(law.high)) == (pytest.approx(bound, rel=1e-6), pytest.approx(bound, rel=1e-6))
    assert law.low < law.exponent < law.high


def test_three_points_give_no_offset_power_law() -> None:
    with pytest.raises(ValueError, match="four points"):
        fit_offset_power_law([1, 2, 3], [1, 2, 3])


@given(
    y=st.lists(st.floats(1.0, 100.0), min_size=5, max_size=5),
    unit=st.integers(-30, 30).map(lambda power: 2.0**power),
)
def test_an_exponent_knows_no_unit(y: list[float], unit: float) -> None:
    law, scaled = (fit_offset_power_law(STEPS, values) for values in (y, [unit * value for value in y]))
    assert (law is None) is (scaled is None)
    if law is not None and scaled is not None:
        assert (scaled.exponent, scaled.low, scaled.high) == (law.exponent, law.low, law.high)
        assert law.low <= law.exponent <= law.high


def relative(y: Sequence[float]) -> list[float]:
    return [value**-2 for value in y]


@pytest.mark.parametrize(("constant", "exponent"), [(0.0, 1.0), (10.0, 1.0), (1.0, 2.0), (1.0, 0.5)])
def test_the_exponent_s_interval_holds_the_truth_about_19_times_in_20(constant: float, exponent: float) -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(500):
        y = [(constant + x**exponent) * (1 + 0.02 * rng.standard_normal()) for x in STEPS]
        law = fit_offset_power_law(STEPS, y, relative(y))
        held += law is not None and law.low <= exponent <= law.high
    assert 460 <= held <= 490


def test_relative_weights_make_the_slope_s_interval_hold_under_relative_noise() -> None:
    rng = np.random.default_rng(2)
    held = {"relative": 0, "plain": 0}
    for _ in range(1000):
        y = [(1 + x) * (1 + 0.05 * rng.standard_normal()) for x in STEPS]
        for name, line in (("relative", fit_line(STEPS, y, relative(y))), ("plain", fit_line(STEPS, y))):
            assert line.half_width is not None
            held[name] += abs(line.slope - 1) <= line.half_width
    assert 930 <= held["relative"] <= 970
    assert held["plain"] < 850


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
