import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.statistics import summarise


def test_of_five_samples() -> None:
    found = summarise([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (found.count, found.low, found.median, found.high) == (5, 2.0, 3.0, 4.0)


@given(st.lists(st.floats(allow_nan=False) | st.integers(0, 3).map(float), min_size=2, max_size=30))
def test_quartiles_are_numpys(samples: list[float]) -> None:
    found = summarise(samples)
    with np.errstate(invalid="ignore", over="ignore"):
        quartiles = np.quantile(np.asarray(samples), [0.25, 0.5, 0.75]).tolist()
    assert [found.low, found.median, found.high] == pytest.approx(quartiles, rel=0, abs=0, nan_ok=True)


def test_of_one_sample_and_of_what_is_no_number() -> None:
    one = summarise([math.inf])
    assert (one.low, one.median, one.high) == (math.inf, math.inf, math.inf)
    assert math.isnan(summarise([math.inf, math.inf]).median)
    assert math.isnan(summarise([1.0, math.nan, 2.0]).low)
