import pytest
import torch

from harness.problems.mlp import Mlp
from tests.problems.descent import adapted


@pytest.mark.parametrize(("width", "depth", "inputs", "outputs"), [(128, 3, 16, 1), (5, 1, 2, 3), (4, 6, 3, 2)])
def test_parameters_follow_the_formula(width: int, depth: int, inputs: int, outputs: int) -> None:
    theta = Mlp(width=width, depth=depth, inputs=inputs, outputs=outputs).theta()
    expected = width * (inputs + 1) + (depth - 1) * width * (width + 1) + outputs * (width + 1)
    assert sum(value.numel() for value in theta.values()) == expected
    assert len(theta) == 2 * (depth + 1)


def test_tasks_have_the_shapes_asked_for() -> None:
    [task] = Mlp(inputs=3, outputs=2, shots=5, queries=7).tasks(1, 0)
    assert [tuple(tensor.shape) for tensor in (*task.support, *task.query)] == [(5, 3), (5, 2), (7, 3), (7, 2)]


def test_a_task_has_one_teacher_whose_outputs_vary_less_than_a_unit() -> None:
    """What is fitted to the support set predicts the query set, and not another task's."""
    problem = Mlp(inputs=2, width=32, depth=1, shots=400, queries=400, activation="tanh")
    task, other = problem.tasks(2, 0)
    assert 0.02 < task.support[1].var().item() < 1
    phi = adapted(problem, task, 300, 0.2)
    own, others = (problem.outer_loss(phi, each.query).item() for each in (task, other))
    assert own < 0.1 * task.query[1].var().item()
    assert others > 3 * own


def test_a_few_steps_fit_the_support_set_better() -> None:
    problem = Mlp()
    [task] = problem.tasks(1, 0)
    before = problem.inner_loss(problem.theta(), task.support).item()
    assert problem.inner_loss(adapted(problem, task, 20, 0.05), task.support).item() < 0.8 * before


def test_the_loss_is_the_mean_over_examples_and_outputs() -> None:
    problem = Mlp(inputs=3, outputs=2, shots=5)
    [task] = problem.tasks(1, 0)
    silent = {name: torch.zeros_like(value) for name, value in problem.theta().items()}
    assert problem.inner_loss(silent, task.support).item() == pytest.approx(task.support[1].square().mean().item())
