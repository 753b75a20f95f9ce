import math

import pytest

from harness.errors import BadInput
from harness.validation.search import best_multiple


@pytest.mark.parametrize("right", [2e-3, 0.999, 1.0, 7.3, 500.0])
def test_a_right_multiple_is_found(right: float) -> None:
    found = best_multiple(lambda multiple: abs(math.log(multiple / right)))
    assert found == pytest.approx(right, rel=1e-7)


def test_where_there_is_none_it_is_given_up() -> None:
    tried: list[float] = []

    def error(multiple: float) -> float:
        tried.append(multiple)
        return 0.5 + abs(math.log(multiple / 3))

    best_multiple(error)
    assert len(tried) < 45


def test_multiples_out_of_the_question_are_passed_over() -> None:
    def error(multiple: float) -> float:
        if multiple < 1:
            raise BadInput("too small")
        return math.nan if multiple > 100 else abs(math.log(multiple / 20))

    assert best_multiple(error) == pytest.approx(20, rel=1e-7)
