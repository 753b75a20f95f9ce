"""What holds of every problem drawn from random numbers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from harness.bilevel import Problem
from harness.errors import BadInput
from harness.registry import PROBLEMS

NAMES = ["sinusoid", "mlp", "transformer", "logistic"]


def drawn(problem: Problem, seed: int = 0, tasks: int = 2) -> list[Tensor]:
    """Every tensor of the parameters and the tasks."""
    data = [(task.support, task.query) for task in problem.tasks(tasks, seed)]
    return pytree.tree_leaves((problem.theta(), data))


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_values_at_every_call(name: str) -> None:
    assert same(drawn(PROBLEMS.create(name)), drawn(PROBLEMS.create(name)))


@pytest.mark.parametrize("name", NAMES)
def test_the_problems_seed_draws_theta_and_the_tasks_seed_the_tasks(name: str) -> None:
    problem, other = PROBLEMS.create(name), PROBLEMS.create(name, seed=1)
    assert not same(list(problem.theta().values()), list(other.theta().values()))
    [task], [same_task], [other_task] = problem.tasks(1, 0), other.tasks(1, 0), problem.tasks(1, 1)
    assert same([*task.support, *task.query], [*same_task.support, *same_task.query])
    assert not torch.equal(task.support[0], other_task.support[0])


@pytest.mark.parametrize("name", NAMES)
def test_tasks_and_their_two_sets_differ(name: str) -> None:
    first, second = PROBLEMS.create(name).tasks(2, 0)
    inputs = [first.support[0], first.query[0], second.support[0], second.query[0]]
    assert not any(torch.equal(a, b) for i, a in enumerate(inputs) for b in inputs[:i])
    [alone] = PROBLEMS.create(name).tasks(1, 0)
    assert torch.equal(alone.query[0], first.query[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_sees_the_same_problem_but_for_rounding(name: str, dtype: str) -> None:
    kind = getattr(torch, dtype)
    exact, rounded = drawn(PROBLEMS.create(name, dtype="float64")), drawn(PROBLEMS.create(name, dtype=dtype))
    assert {tensor.dtype for tensor in exact} <= {torch.float64, torch.int64}
    assert same([tensor.to(kind) if tensor.is_floating_point() else tensor for tensor in exact], rounded)
    problem = PROBLEMS.create(name, dtype=dtype)
    loss = problem.inner_loss(problem.theta(), problem.tasks(1, 0)[0].support)
    assert (loss.shape, loss.dtype) == (torch.Size(), kind)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("sinusoid", {"shots": 0}, "shots: 0 is not a positive whole number"),
        ("sinusoid", {"queries": True}, "queries: True is not a positive"),
        ("sinusoid", {"hidden": 40}, "hidden: 40 is not a list of positive whole numbers"),
        ("sinusoid", {"hidden": []}, r"hidden: \[\] is not a list"),
        ("sinusoid", {"hidden": [40, 0]}, r"hidden: \[40, 0\] is not a list"),
        ("sinusoid", {"activation": "tanhh"}, "unknown activation 'tanhh': did you mean 'tanh'"),
        ("sinusoid", {"activation": ["tanh"]}, "unknown activation "),
        ("sinusoid", {"activation": 5}, "unknown activation '5': known: relu, softplus, tanh"),
        ("sinusoid", {"dtype": "float46"}, "unknown dtype 'float46': did you mean 'float64'"),
        ("mlp", {"width": 1.5}, "width: 1.5 is not a positive"),
        ("mlp", {"depth": 0}, "depth: 0 is not a positive"),
        ("mlp", {"inputs": 0}, "inputs: 0 is not a positive"),
        ("mlp", {"outputs": -1}, "outputs: -1 is not a positive"),
        ("mlp", {"seed": -1}, "seed: -1 is not a whole number >= 0"),
        ("mlp", {"activation": "x"}, "unknown activation 'x': known: relu, softplus, tanh"),
        ("transformer", {"layers": 0}, "layers: 0 is not a positive"),
        ("transformer", {"heads": 3}, "heads: 3 does not divide width = 64"),
        ("transformer", {"vocabulary": 1}, "vocabulary: 1 token leaves nothing to predict"),
        ("transformer", {"noise": 1.5}, "noise: 1.5 is not a probability"),
        ("transformer", {"noise": -0.1}, "noise: -0.1 is not a number >= 0"),
        ("logistic", {"dim": 0}, "dim: 0 is not a positive"),
        ("logistic", {"n": 0}, "n: 0 is not a positive"),
        ("logistic", {"separation": math.inf}, "separation: inf is not a number >= 0"),
        ("logistic", {"regularisation": "1"}, "regularisation: '1' is not a number >= 0"),
        ("logistic", {"regularization": 1.0}, "unknown parameter 'regularization': did you mean 'regularisation'"),
    ],
)
def test_bad_parameters(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=f"^problem '{name}': {message}"):
        PROBLEMS.create(name, **parameters)
