"""Forecasts against the allocator's own count: every built-in part, to the byte."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from harness.cell import Part
from harness.registry import ESTIMATORS, INNER_SOLVERS
from harness.registry import PROBLEMS as KNOWN
from tests.combinations import by_turns, crossing
from tests.forecast.cells import PROBLEMS, cell, measured, only

UNROLLED = ["maml", "maml-replay", "maml-checkpoint", "maml-truncated"]
IMPLICIT = ["imaml-cg", "imaml-minres", "imaml-neumann", "imaml-nystrom", "imaml-dense", "darts-fd"]
ESTIMATORS_HERE = [*UNROLLED, "fomaml", "reptile", *IMPLICIT]
INNER = ["heavy-ball", "nesterov", "nesterov(momentum=0.5)", "adam"]


def assert_exact(problem: str, estimator: str, steps: int, own: dict[str, Any] | None = None, **changes: Any) -> None:
    one = cell(problem, estimator, steps, own, **changes)
    result, peak_bytes = only(one), measured(one)
    assert result.reason is None
    assert not result.without_scratch
    assert result.peak_bytes == peak_bytes


def every_pair() -> Iterator[Any]:
    """All of them, of those on larger networks a few where not thorough."""
    for estimator in ESTIMATORS_HERE:
        for problem in PROBLEMS:
            few = {"conv4": ["maml-replay", "imaml-cg"], "transformer": ["maml", "fomaml"]}.get(problem)
            left_out = few is not None and estimator not in few
            yield pytest.param(estimator, problem, marks=pytest.mark.thorough if left_out else ())


@pytest.mark.parametrize(("estimator", "problem"), list(every_pair()))
def test_a_forecast_is_what_is_measured(estimator: str, problem: str) -> None:
    if (problem, estimator) != ("conv4", "imaml-dense"):
        assert_exact(problem, estimator, 16)


def test_a_dense_solve_that_is_refused_has_no_forecast() -> None:
    result = only(cell("conv4", "imaml-dense", 16))
    assert result.peak_bytes is None
    assert result.reason is not None
    assert result.reason.startswith("BadInput: max_size: a dense solve of n = ")


@pytest.mark.parametrize(("estimator", "steps"), list(crossing([*UNROLLED, "fomaml", "imaml-cg"], [1, 64, 2, 3, 5])))
def test_it_is_so_at_any_number_of_steps(estimator: str, steps: int) -> None:
    assert_exact("sinusoid", estimator, steps)


@pytest.mark.parametrize(
    ("estimator", "inner"), list(crossing(["maml", "maml-replay", "maml-checkpoint", "fomaml", "imaml-cg"], INNER))
)
def test_it_is_so_with_any_inner_solver(estimator: str, inner: str) -> None:
    assert_exact("mlp", estimator, 10, {"inner": inner})


@pytest.mark.parametrize(("steps", "inner"), list(by_turns([1, 2, 3, 4, 5, 12], ["lbfgs(memory=3)", "newton-cg"])))
def test_it_is_so_with_solvers_that_search_along_a_line(steps: int, inner: str) -> None:
    assert_exact("mlp", "fomaml", steps, {"inner": inner})


@pytest.mark.parametrize(("estimator", "tasks"), list(by_turns(["maml", "maml-replay", "imaml-cg"], [2, 3, 5])))
@pytest.mark.parametrize("batching", ["loop", "vmap"])
def test_it_is_so_with_several_tasks(estimator: str, tasks: int, batching: str) -> None:
    assert_exact("mlp", estimator, 6, {"batching": batching}, tasks=tasks)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("estimator", ["maml", "imaml-cg", "maml-replay"])
def test_it_is_so_in_any_dtype(estimator: str, dtype: str) -> None:
    assert_exact("mlp", estimator, 6, dtype=dtype)


@pytest.mark.parametrize("own", [{"lr": "auto"}, {"tol": 1e-9}])
@pytest.mark.parametrize("problem", ["linear", "mlp"])
@pytest.mark.parametrize("estimator", ["maml", "maml-replay", "fomaml", "imaml-cg"])
def test_it_is_so_where_values_are_asked_for(estimator: str, problem: str, own: dict[str, Any]) -> None:
    assert_exact(problem, estimator, 6, own)


@pytest.mark.parametrize("inner", ["nesterov", "heavy-ball", "adam(eps=0.1)"])
def test_it_is_so_where_the_choice_of_the_step_size_hides_the_steps_at_first(inner: str) -> None:
    """The first step of momentum holds less than the others, and "auto" more than a few steps do."""
    one = cell("linear", "maml", 64, {"inner": inner, "lr": "auto", "lam": 0.1})
    one = one.model_copy(update={"problem": Part(name="linear", parameters={"dim": 200, "n": 200})})
    assert only(one).peak_bytes == measured(one)


def test_the_baseline_is_theta_and_the_data() -> None:
    result = only(cell("linear", "fomaml", 4, tasks=2))
    theta, data = 8, 2 * 2 * (16 * 8 + 16)
    assert result.baseline_bytes == 4 * (theta + data)


def test_every_built_in_part_is_in_this_file() -> None:
    assert set(ESTIMATORS.builtin) == set(ESTIMATORS_HERE)
    assert set(KNOWN.builtin) == PROBLEMS.keys()
    inner = {name.partition("(")[0] for name in [*INNER, "lbfgs", "newton-cg", "gd"]}
    assert set(INNER_SOLVERS.builtin) == inner


def test_the_number_of_threads_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    only(cell("linear", "fomaml", 2, threads=before + 1))
    assert torch.get_num_threads() == before
