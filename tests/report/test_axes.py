import math

import pytest
from matplotlib.figure import Figure

from harness.report.axes import Range, draw_value_axis, draw_variable_axis, failure_rows, value_range


def labels(span: Range, unit: str) -> dict[str, float]:
    axes = Figure().add_subplot()
    draw_value_axis(axes, span, unit, "none", headroom=0.0)
    return {text.get_text(): place for text, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}


def test_a_constant_is_shown_over_a_decade() -> None:
    span = value_range([77e6, 77e6], exact_zero=False)
    assert math.log10(span.high / span.low) >= 1.0
    assert math.sqrt(span.high * span.low) == pytest.approx(77e6)
    assert span.zero is None


def test_exact_zeros_lie_below_rounding() -> None:
    span = value_range([0.0, 1e-3, 1.0], exact_zero=True)
    assert span.zero == pytest.approx(1e-17)
    assert span.low < 1e-17 < 1.0 < span.high
    assert (span.place(0.0), span.place(1e-3)) == (span.zero, 1e-3)
    assert labels(span, "1")["none"] == span.zero


def test_errors_below_rounding_stay_above_the_zeros() -> None:
    span = value_range([0.0, 3e-18], exact_zero=True)
    assert span.zero is not None
    assert span.zero < 3e-19


def test_other_zeros_lie_a_decade_below_the_rest() -> None:
    assert value_range([0.0, 5e6], exact_zero=False).zero == pytest.approx(1e5)


def test_zeros_alone_have_a_range() -> None:
    span = value_range([0.0], exact_zero=True)
    assert span.low < span.place(0.0) < span.high


@pytest.mark.parametrize("values", [[5e-324, 1.7e308], [1e308, 1.7e308], [0.0, 5e-324]])
def test_the_largest_and_smallest_numbers_can_be_drawn(values: list[float]) -> None:
    span = value_range(values, exact_zero=True)
    assert 0 < span.low < span.high < math.inf
    assert all(span.low < span.place(value) < span.high for value in values)
    assert labels(span, "1")


def test_short_ranges_are_labelled_in_words_of_their_unit() -> None:
    found = labels(Range(1.5e7, 1.2e9, None), "B")
    assert list(found) == ["20 MB", "50 MB", "100 MB", "200 MB", "500 MB", "1 GB"]
    assert found["1 GB"] == 1e9
    assert list(labels(Range(0.015, 0.3, None), "s")) == ["20 ms", "50 ms", "100 ms", "200 ms"]
    assert list(labels(Range(0.015, 0.3, None), "1")) == ["0.02", "0.05", "0.1", "0.2"]


def test_long_ranges_are_labelled_in_powers_of_ten() -> None:
    assert list(labels(Range(2e-5, 2.0, None), "1")) == ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"]
    assert len(labels(Range(1e-17, 1e3, None), "1")) < 10
    assert list(labels(Range(1.5e-3, 20.0, None), "s")) == ["10 ms", "100 ms", "1 s", "10 s"]


def test_no_label_crowds_that_of_the_zeros() -> None:
    assert list(labels(Range(8e4, 2e6, 1e5), "B")) == ["500 kB", "1 MB", "2 MB", "none"]


def test_headroom_is_free_of_values() -> None:
    axes = Figure().add_subplot()
    draw_value_axis(axes, Range(1.0, 100.0, None), "1", "0", headroom=0.5)
    assert axes.get_ylim() == pytest.approx((1.0, 1e4))


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ((1, 2, 4, 8, 16), "1 2 4 8 16"),
        ((1, 2, 5, 10, 25, 50, 100), "1 2 5 10 25 50 100"),
        ((1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128), "1 2 4 8 16 32 64 128"),
        ((16,), "16"),
    ],
)
def test_ticks_are_the_measured_steps_as_many_as_fit(steps: tuple[int, ...], shown: str) -> None:
    axes = Figure().add_subplot()
    draw_variable_axis(axes, steps, "inner steps K")
    at = sorted(zip(axes.get_xticks(), (text.get_text() for text in axes.get_xticklabels()), strict=True))
    assert " ".join(label for _, label in at) == shown
    assert all(str(int(place)) == label for place, label in at)
    low, high = axes.get_xlim()
    assert low < steps[0] <= steps[-1] < high


@pytest.mark.parametrize("count", [0, 1, 5, 50])
def test_failure_marks_leave_most_of_the_axis_to_the_curves(count: int) -> None:
    assert count * failure_rows(count) <= 0.4
