import math
from inspect import signature
from typing import Any

import pytest

from harness.cell import Measurement
from harness.registry import ESTIMATORS, PROBLEMS
from harness.report.settings import Setting, settings
from harness.report.theory import DEFAULT_KAPPA, chebyshev, conditioning, lines, strength
from tests.report.synthetic import measurement, run

METRIC = "implicit_relative_error"
GD = {"inner": "gd", "lr": 1 / 1.1, "lam": 0.1}


def cell(steps: int = 1, x: str = "steps", kappa: float = 100.0, problem: str = "linear", **part: Any) -> Measurement:
    return measurement(
        "iMAML",
        steps,
        estimator="imaml-cg",
        parameters=GD | part,
        problem={"name": problem, "parameters": {"kappa": kappa}},
        studies=({"title": "A", "x": x, "label": "iMAML"},),
        metrics={METRIC: [0.1]},
    )


def setting_of(*cells: Measurement) -> Setting:
    (found,) = settings([run(cells)])
    return found


def test_conditioning_is_that_of_the_inner_problem() -> None:
    assert conditioning(cell().cell) == pytest.approx(1.1 / 0.11)
    assert conditioning(cell(problem="conv4").cell) is None
    assert conditioning(measurement().cell) == pytest.approx(100.0)  # the problem's κ where it is left out, and no λ
    assert conditioning(measurement(estimator="imaml-cg").cell) == pytest.approx(2 / 1.01)  # whose λ is 1 unless said


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_a_strength_left_out_is_the_estimators_own(name: str) -> None:
    assert strength(measurement(estimator=name).cell) == signature(ESTIMATORS.get(name)).parameters["lam"].default


def test_a_condition_number_left_out_is_the_problems_own() -> None:
    assert signature(PROBLEMS.get("linear")).parameters["kappa"].default == DEFAULT_KAPPA


def test_over_steps_the_rate_of_gradient_descent() -> None:
    (line,) = lines(setting_of(cell(1), cell(100)), METRIC)
    assert line.points[1] == pytest.approx(0.9)
    assert line.points[100] == pytest.approx(0.9**100)
    assert len(line.points) > 20


def test_over_kappa_and_lambda_the_rate_at_the_number_of_steps() -> None:
    (line,) = lines(setting_of(*(cell(50, "kappa", kappa) for kappa in (10.0, 1000.0))), METRIC)
    assert line.points[1000.0] == pytest.approx((1 - 0.101 / 1.1) ** 50)
    (line,) = lines(setting_of(*(cell(50, "lam", lam=lam, lr="auto") for lam in (0.01, 1.0))), METRIC)
    assert line.points[1.0] == pytest.approx((1 - 1.01 / 2) ** 50)


def test_over_cg_steps_chebyshev_s_bound() -> None:
    others = measurement("MAML", 9, parameters=GD, problem={"name": "linear", "parameters": {"kappa": 100.0}},
                         studies=({"title": "A", "x": "cg_steps", "label": "MAML"},))  # fmt: skip
    (line,) = lines(setting_of(others, *(cell(9, "cg_steps", cg_steps=t) for t in (1, 20))), METRIC)
    root = math.sqrt(10)
    assert line.points[20] == pytest.approx(2 * root * ((root - 1) / (root + 1)) ** 20)
    assert line.points[1] == 1.0 == chebyshev(10.0, 1)


@pytest.mark.parametrize("other", [{"lr": 0.5}, {"inner": "nesterov"}, {"lam": 0.2, "lr": "auto"}], ids=str)
def test_no_law_where_it_would_not_be_one_for_all(other: dict[str, Any]) -> None:
    assert lines(setting_of(cell(1), cell(2)), METRIC)
    assert lines(setting_of(cell(1), cell(2), cell(4, **other)), METRIC) == []


def test_no_law_for_a_problem_of_unknown_spectrum() -> None:
    assert lines(setting_of(cell(1, problem="conv4"), cell(2, problem="conv4")), METRIC) == []


def test_no_law_for_other_metrics_or_over_work() -> None:
    assert lines(setting_of(cell(1), cell(2)), "backprop_relative_error") == []
    assert lines(setting_of(cell(1, "evaluations")), METRIC) == []
