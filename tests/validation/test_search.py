import math

import pytest
import torch
from torch import Tensor

from harness.errors import BadInput
from harness.validation.search import best_multiple, best_value, usual_multiple


def off(multiple: float, right: float) -> Tensor:
    return torch.tensor([math.log(multiple / right), 0.0], dtype=torch.float64)


@pytest.mark.parametrize("right", [2e-3, 0.999, 1.0, 1.337, 7.3, 500.0])
def test_a_right_multiple_is_found(right: float) -> None:
    assert best_multiple(lambda multiple: off(multiple, right), 5) == pytest.approx(right, rel=1e-9)


def test_of_several_valleys_the_right_one_is_found() -> None:
    """As the error of a step size over an inner loop: 0 in a narrow valley, small in a wide one far off."""

    def error(multiple: float) -> Tensor:
        narrow, wide = 20 * abs(math.log(multiple / 1.1)), 0.3 + abs(math.log(multiple / 0.2))
        return torch.tensor([min(narrow, wide)], dtype=torch.float64)

    assert best_multiple(error, 5) == pytest.approx(1.1, rel=1e-9)


def test_a_usual_multiple_is_found_at_once_and_an_unusual_one_never() -> None:
    tried: list[float] = []

    def error(multiple: float) -> Tensor:
        tried.append(multiple)
        return off(multiple, 37.0)

    assert usual_multiple(error, [37.0]) == pytest.approx(37)
    assert len(tried) == 1
    assert usual_multiple(error) is None


def test_where_there_is_none_it_is_given_up() -> None:
    tried: list[float] = []

    def error(multiple: float) -> Tensor:
        tried.append(multiple)
        return torch.tensor([0.5, math.log(multiple / 3)], dtype=torch.float64)

    assert best_multiple(error, 5) == pytest.approx(3, rel=1e-3)
    assert len(tried) < 200


def test_multiples_out_of_the_question_are_passed_over() -> None:
    def error(multiple: float) -> Tensor:
        if multiple < 1:
            raise BadInput("too small")
        return torch.tensor([math.nan]) if multiple > 100 else off(multiple, 20)

    assert best_multiple(error, 5) == pytest.approx(20, rel=1e-9)
    assert best_value(lambda value: torch.tensor([math.nan]), (), [0.1, 0.2]) is None
