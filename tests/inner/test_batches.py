"""Tasks side by side are the tasks one by one."""

from typing import Any

import pytest
import torch

from harness.bilevel import Problem
from harness.inner import inner_solver
from harness.objective import Objective
from harness.problems.linear import LinearRegression
from tests.inner.examples import BY_LINE_SEARCH, SPECS, TanhNet, distance, function

PROBLEMS: dict[str, Problem] = {"linear": LinearRegression(dim=8, n=16), "network": TanhNet(scale=2.0)}


@pytest.mark.parametrize("lam", [0.1, "by parameter"])
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("spec", [*SPECS, "lbfgs(memory=2)"])
def test_batched_is_looped(spec: str, name: str, lam: Any) -> None:
    problem = PROBLEMS[name]
    tasks, theta, solver = problem.tasks(3, 5), problem.theta(), inner_solver(spec)
    if lam == "by parameter":
        lam = {k: torch.linspace(0.1, 0.4, v.numel(), dtype=v.dtype).view(v.shape) for k, v in theta.items()}
    batch = Objective.of_tasks(problem, tasks, theta, lam)
    solution = solver.solve(batch, 8, 0.8)
    singles = [Objective.of(problem, task, theta, lam) for task in tasks]
    assert solution.steps == 8
    for row, single in zip(solution.phi, singles, strict=True):
        assert distance(row, solver.solve(single, 8, 0.8).phi) < 1e-9
    assert batch.counts.gradients == sum(single.counts.gradients for single in singles)
    assert batch.counts.hvps == sum(single.counts.hvps for single in singles)
    assert batch.counts.losses == 3 * max(single.counts.losses for single in singles) or spec not in SPECS[:4]


def test_each_task_has_a_step_length_of_its_own() -> None:
    """The same start, losses a hundredfold apart: one passes at once, the other after backtracking."""
    scales = torch.tensor([1.0, 100.0], dtype=torch.float64)
    objective = function(lambda phi: scales * phi.square().sum(-1) / 2, [[1.0, 2.0], [1.0, 2.0]], tasks=2)
    phi = inner_solver("lbfgs").solve(objective, 1, 1.0).phi
    assert torch.equal(phi[0], torch.zeros(2, dtype=torch.float64))
    assert torch.equal(phi[1], objective.theta[1] * (1 - 100 / 64))


@pytest.mark.parametrize("spec", BY_LINE_SEARCH)
def test_negative_curvature_in_one_task_leaves_the_others_alone(spec: str) -> None:
    """−cos is convex around 0 and concave around π."""
    starts = [[0.5], [3.0]]
    batch = inner_solver(spec).solve(function(lambda phi: -phi.cos().sum(-1), starts, tasks=2), 3, 0.1).phi
    for start, phi in zip(starts, batch, strict=True):
        alone = inner_solver(spec).solve(function(lambda phi: -phi.cos().sum(-1), start), 3, 0.1).phi
        assert distance(phi, alone) < 1e-12
