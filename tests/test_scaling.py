import math
from collections.abc import Callable

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
    "growth",
    [lambda k: k**1.1, lambda k: k**2.0, math.sqrt, lambda k: k * math.log2(2 * k), lambda k: 70 + 0.01 * k**2],
    ids=["k^1.1", "k^2", "sqrt k", "k log k", "70 + k^2/100"],
)
def test_other_growth_is_not_called_linear(growth: Callable[[int], float]) -> None:
    assert law("peak_bytes", growth) is Law.NEITHER


def test_one_point_off_the_line_is_not_hidden_by_the_large_ones() -> None:
    def kinked(k: int) -> float:
        return 58e6 + 26.4e6 * k + (10e6 if k == 1 else 0)

    assert scaling("peak_bytes", {k: kinked(k) for k in STEPS}).r_squared > 0.999
    assert law("peak_bytes", kinked) is Law.NEITHER


def test_points_near_a_line_but_unlike_one_are_not_called_linear() -> None:
    assert scaling("peak_bytes", {1: 70e6, 2: 72e6, 4: 73e6, 8: 75e6}).law is Law.NEITHER


def test_times_have_wider_tolerances_and_looser_words() -> None:
    noise = dict(zip(STEPS, (1.05, 0.96, 1.04, 0.97, 1.03, 0.98, 1.02), strict=True))
    noisy = {k: (0.02 + 0.053 * k) * noise[k] for k in STEPS}
    assert scaling("wall_seconds", noisy).words() == "takes about 54 ms more a step"
    assert scaling("wall_seconds", {1: 0.050, 4: 0.054, 16: 0.051}).law is Law.FLAT
    assert scaling("peak_bytes", {k: round(v * 1e9) for k, v in noisy.items()}).law is Law.NEITHER


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
