"""Backtracking, and what the two solvers by line search do where G is not convex."""

import math

import pytest
import torch
from torch import Tensor

from harness.inner import DifferentiableSolver, inner_solver
from harness.inner.line_search import ARMIJO, TRIALS, backtrack
from harness.objective import Objective
from tests.inner.examples import BY_LINE_SEARCH, Regression, distance, function


def bowl() -> Objective:
    return function(lambda phi: phi.square().sum(-1) / 2, [1.0, -2.0])


def search(objective: Objective, direction: Tensor) -> tuple[Tensor, Tensor]:
    theta = objective.theta
    value = objective.value(theta)
    objective.counts.losses = 0
    return backtrack(objective, theta, value, objective.gradient(theta), direction)


@pytest.mark.parametrize(("factor", "tries"), [(1.0, 1), (1.99, 1), (2.0, 2), (4.1, 3), (1000.0, 10)])
def test_the_first_half_power_that_decreases_enough(factor: float, tries: int) -> None:
    """From φ along −aφ, G(φ + td) = (1 − ta)² G(φ): enough as soon as ta < 2(1 − c)."""
    objective = bowl()
    theta = objective.theta
    phi, value = search(objective, -factor * theta)
    expected = theta * (1 - factor * 0.5 ** (tries - 1))
    assert torch.allclose(phi, expected, rtol=1e-14, atol=0)
    assert float(value) == pytest.approx(float(objective.value(expected)), abs=1e-300)
    assert objective.counts.losses == tries + 1


def test_a_decrease_short_of_armijos_is_not_enough() -> None:
    objective = bowl()
    factor = 2 * (1 - ARMIJO) + 1e-6
    phi, _ = search(objective, -factor * objective.theta)
    assert distance(phi, objective.theta * (1 - factor / 2)) < 1e-9


def test_an_increase_within_rounding_passes() -> None:
    """Or the search would end where the decrease drowns in the rounding of G, far from the solution."""
    noise = 4 * torch.finfo(torch.float64).eps
    objective = function(lambda phi: 1 + phi.square().sum(-1) / 2 + torch.where(phi[..., 0] == 0, noise, 0.0), [1e-9])
    phi, value = search(objective, -objective.theta)
    assert float(phi) == 0.0
    assert float(value) == 1 + noise


def test_uphill_stays() -> None:
    objective = bowl()
    phi, value = search(objective, objective.theta)
    assert torch.equal(phi, objective.theta)
    assert float(value) == 2.5
    assert objective.counts.losses == TRIALS


@pytest.mark.parametrize("spec", BY_LINE_SEARCH)
def test_a_barrier_is_not_crossed(spec: str) -> None:
    """λ(φ − θ)²/2 − log φ is not a number below 0, where a full step from 5 would lead."""
    objective = function(lambda phi: -phi.log().sum(-1), [5.0], lam=1.0)
    phi = inner_solver(spec).solve(objective, 30, 40.0).phi
    assert float(phi) == pytest.approx((5 + math.sqrt(29)) / 2, rel=1e-12)


@pytest.mark.parametrize("spec", BY_LINE_SEARCH)
def test_where_curvature_is_negative_it_descends_the_gradient(spec: str) -> None:
    """−cos near π: Newton's step would climb, and the change of the gradient makes no pair."""
    objective = function(lambda phi: -phi.cos().sum(-1), [3.0])
    phi = 3.0
    for steps in range(1, 4):
        phi -= 0.25 * math.sin(phi)
        assert float(inner_solver(spec).solve(objective, steps, 0.25).phi) == pytest.approx(phi, rel=1e-13)
    assert phi > math.pi / 2


@pytest.mark.parametrize("spec", BY_LINE_SEARCH)
def test_nothing_but_nan_stays_at_theta(spec: str) -> None:
    objective = function(lambda phi: phi.square().sum(-1) * math.nan, [1.0, 2.0])
    assert torch.equal(inner_solver(spec).solve(objective, 2, 0.1).phi, objective.theta)


@pytest.mark.parametrize("spec", BY_LINE_SEARCH)
def test_at_the_solution_it_stays(spec: str) -> None:
    objective = function(lambda phi: phi.square().sum(-1) / 2, [0.0, 0.0])
    assert torch.equal(inner_solver(spec).solve(objective, 4, 0.1).phi, objective.theta)


@pytest.mark.parametrize("spec", BY_LINE_SEARCH)
def test_single_precision(spec: str) -> None:
    setting = Regression(lam=0.1)
    support = tuple(part.float() for part in setting.tasks[0].support)
    objective = function(
        lambda phi: setting.problem.inner_loss({"w": phi}, support),  # pyright: ignore[reportArgumentType]
        [0.0] * 20,
        lam=0.1,
    )
    objective.theta = setting.theta.float()
    phi = inner_solver(spec).solve(objective, 60, setting.lr).phi
    assert phi.dtype == torch.float32
    assert distance(phi.double(), setting.solution) < 1e-5


def test_lbfgs_leaves_out_a_pair_whose_curvature_has_no_inverse() -> None:
    objective = function(lambda phi: phi.square().sum(-1) / 2, [0.0])
    objective.theta = torch.tensor([1e-20])
    phi = inner_solver("lbfgs").solve(objective, 3, 0.5).phi
    assert float(phi) == pytest.approx(0.125e-20, rel=1e-6, abs=0)


@pytest.mark.parametrize("spec", BY_LINE_SEARCH)
def test_not_differentiable(spec: str) -> None:
    assert not isinstance(inner_solver(spec), DifferentiableSolver)
    phi = inner_solver(spec).solve(Regression().objective(), 2, 0.1).phi
    assert not phi.requires_grad
