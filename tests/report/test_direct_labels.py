from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from harness.report.direct_labels import End, places, spread

RED = (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.55, 0.5, 0.9], [0.575, 0.475, 0.9]),
        ([0.0, 0.1, 0.1], [-1 / 30, 2 / 30, 5 / 30]),
        ([0.3], [0.3]),
    ],
)
def test_labels_are_moved_no_further_than_they_must(wanted: list[float], found: list[float]) -> None:
    assert spread(wanted, 0.1) == pytest.approx(found)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_labels_keep_their_order_and_their_distance(wanted: list[float]) -> None:
    found = spread(wanted, 0.1)
    assert sum(found) == pytest.approx(sum(wanted))
    ascending = sorted(found)
    assert all(upper - lower >= 0.1 - 1e-9 for lower, upper in pairwise(ascending))
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    assert [found[index] for index in order] == ascending


def test_places_are_shares_of_a_logarithmic_axis() -> None:
    axes = Figure().add_subplot()
    axes.set_yscale("log")
    axes.set_ylim(1, 100)
    ends = [End(label, RED, value) for label, value in (("a", 1.0), ("b", 10.0), ("c", 100.0))]
    assert places(axes, ends, height_inches=2.0, points=8) == pytest.approx([0.0, 0.5, 1.0])
    assert places(axes, [*ends, *[End("b", RED, 10.0)] * 3], height_inches=2.0, points=8) is None
