import pytest

from harness.report.variables import STEPS, Variable, evaluations, written
from tests.report.synthetic import measurement


def test_work_counts_a_product_as_two_gradients() -> None:
    counted = measurement(metrics={"gradient_count": [11.0], "hvp_count": [10.0], "step_size_hvp_count": [30.0]})
    assert evaluations(counted) == 31.0
    assert Variable("evaluations").of(counted) == 31.0
    assert evaluations(measurement()) is None


def test_a_parameter_is_the_problem_s_or_the_estimator_s() -> None:
    problem = {"name": "linear", "parameters": {"kappa": 100.0}}
    cell = measurement(steps=4, parameters={"cg_steps": 5, "inner": "gd"}, problem=problem)
    assert [Variable(name).of(cell) for name in ("kappa", "cg_steps", "steps")] == [100.0, 5, 4]
    assert Variable("lam").of(cell) is None
    assert Variable("inner").of(cell) is None


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("steps", (1, 2, 4), "K = 1, 2 and 4"),
        ("evaluations", (1030,), "1,030 gradient evaluations"),
        ("kappa", (1000.0,), "κ = 1,000"),
        ("lam", (0.01, 0.3), "λ = 0.01 and 0.3"),
        ("cg_steps", (1,), "1 CG step"),
        ("cg_steps", (2, 5), "2 and 5 CG steps"),
        ("tasks", (1,), "1 task"),
        ("tasks", (4, 16), "4 and 16 tasks"),
        ("noise", (0.5,), "noise = 0.5"),
    ],
)
def test_values_are_named_in_sentences(name: str, values: tuple[float, ...], words: str) -> None:
    assert Variable(name).at(*values) == words


def test_ranges_are_named_once() -> None:
    assert STEPS.between(1, 25) == "K = 1 to 25"
    assert Variable("evaluations").between(7, 1200) == "7 to 1,200 gradient evaluations"


def test_small_values_are_written_as_in_a_suite() -> None:
    assert [written(value) for value in (0.01, 2.0, 1000, 0.00625)] == ["0.01", "2", "1,000", "0.00625"]
