"""Any input is taken in, or refused in one line: many inputs of Hypothesis's own, `make fuzz` for far more."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzz.properties import PROPERTIES, warm_up

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("examples", [100, pytest.param(5000, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("holds", PROPERTIES.values(), ids=PROPERTIES)
def test_any_input_is_taken_in_or_refused_in_one_line(holds: Callable[[], None], examples: int) -> None:
    warm_up()
    settings(max_examples=examples, deadline=None, suppress_health_check=CHECKS)(holds)()
