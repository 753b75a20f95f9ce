"""Derivatives of K steps with respect to θ, which is both their start and the centre of the proximal term."""

import pytest
import torch
from torch import Tensor

from harness.bilevel import Problem, Task
from harness.inner import State
from harness.objective import Objective
from harness.problems.linear import LinearRegression
from harness.pytree import Layout
from tests.inner.examples import DIFFERENTIABLE, TanhNet, differentiable, distance

STEPS, LAM = 5, 0.5
CASES = [*DIFFERENTIABLE, "heavy-ball(momentum=0.7)", "nesterov(momentum=0.7)", "adam(beta1=0, beta2=0.5, eps=0.1)"]


def lr(spec: str) -> float:
    return 0.05 if spec.startswith("adam") else 0.2


def around(problem: Problem, task: Task, theta: Tensor, lam: float = LAM) -> Objective:
    return Objective.of(problem, task, Layout.of(problem.theta()).unravel(theta), lam)


def jacobian(spec: str, problem: Problem, task: Task, steps: int = STEPS, lam: float = LAM) -> Tensor:
    """dφ_K/dθ through the unrolled steps."""
    theta = Layout.of(problem.theta()).ravel(problem.theta()).requires_grad_()
    objective = around(problem, task, theta, lam)
    solver = differentiable(spec).bind(objective, lr(spec))
    *_, (phi, *_) = solver.walk(
        solver.initial(theta), lambda phi: objective.gradient(phi, theta, create_graph=True), steps, lr(spec)
    )
    return torch.autograd.grad(phi, theta, torch.eye(len(phi), dtype=phi.dtype), is_grads_batched=True)[0]


@pytest.mark.parametrize("spec", CASES)
def test_jacobian_meets_finite_differences(spec: str) -> None:
    problem = TanhNet()
    [task] = problem.tasks(1, 3)
    theta, h = Layout.of(problem.theta()).ravel(problem.theta()), 1e-6

    def end(point: Tensor) -> Tensor:
        return differentiable(spec).solve(around(problem, task, point), STEPS, lr(spec)).phi

    columns = [(end(theta + h * unit) - end(theta - h * unit)) / (2 * h) for unit in torch.eye(20, dtype=theta.dtype)]
    assert distance(jacobian(spec, problem, task), torch.stack(columns, dim=1)) < 1e-6


@pytest.mark.parametrize("spec", CASES)
def test_replaying_stored_states_pulls_back_what_unrolling_does(spec: str) -> None:
    """No state outside the state: each step again from its stored, detached state, last step first."""
    problem = TanhNet()
    [task] = problem.tasks(1, 3)
    theta = Layout.of(problem.theta()).ravel(problem.theta())
    objective = around(problem, task, theta)
    solver = differentiable(spec).bind(objective, lr(spec))
    start = solver.initial(theta)
    states: list[State] = [start, *solver.walk(start, objective.gradient, STEPS, lr(spec))]
    phi = states.pop()[0]
    cotangents: State = (torch.linspace(-1, 1, 20, dtype=phi.dtype), *(torch.zeros_like(s) for s in start[1:]))
    expected = cotangents[0] @ jacobian(spec, problem, task)
    pulled = torch.zeros_like(theta)
    for state in reversed(states):
        before = tuple(part.detach().requires_grad_() for part in state)
        centre = theta.clone().requires_grad_()
        after = solver.update(before, objective.gradient(solver.point(before), centre, create_graph=True), lr(spec))
        *rest, from_centre = torch.autograd.grad(
            after, (*before, centre), cotangents, allow_unused=True, materialize_grads=True
        )
        cotangents, pulled = tuple(rest), pulled + from_centre
    assert distance(pulled + cotangents[0], expected) < 1e-12


@pytest.mark.parametrize(("spec", "steps", "lam"), [("adam", 9, 0.0), ("adam", 1, LAM), ("adam(eps=0.03)", 9, LAM)])
def test_adam_where_a_gradient_is_always_zero(spec: str, steps: int, lam: float) -> None:
    """An input that is 0 throughout: its weight stays at θ, moves with it, and the root of its second moment is 0."""
    problem = LinearRegression(dim=4, n=8)
    [task] = problem.tasks(1, 0)
    inputs, targets = task.support
    silent = Task((inputs * torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=inputs.dtype), targets), task.query)
    derivative = jacobian(spec, problem, silent, steps, lam)
    expected = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=inputs.dtype)
    torch.testing.assert_close(derivative[1], expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(derivative[:, 1], expected, rtol=0, atol=1e-9)
    assert bool(derivative.isfinite().all())
    assert float(derivative[0].norm()) > 0


@pytest.mark.parametrize("spec", DIFFERENTIABLE)
def test_states_hold_what_they_say(spec: str) -> None:
    """φ, then vectors or one number a task, in the dtype of φ; no step writes to what it was given."""
    solver, phi = differentiable(spec + "(momentum=0.5)" * (spec in ("heavy-ball", "nesterov"))), torch.ones(3, 4)
    state = solver.initial(phi)
    for after in (state, solver.update(state, torch.ones(3, 4), 0.1)):
        assert [part.shape for part in after] == [part.shape for part in state]
        assert after[0].shape == (3, 4)
        assert all(part.shape[:-1] == (3,) and part.shape[-1] in (1, 4) for part in after)
        assert all(part.dtype == phi.dtype for part in after)
    assert torch.equal(phi, torch.ones(3, 4))


@pytest.mark.parametrize("spec", DIFFERENTIABLE)
def test_no_graph_is_left_by_solve(spec: str) -> None:
    problem = TanhNet()
    theta = Layout.of(problem.theta()).ravel(problem.theta())
    phi = differentiable(spec).solve(around(problem, problem.tasks(1, 0)[0], theta), 2, 0.1).phi
    assert not phi.requires_grad
