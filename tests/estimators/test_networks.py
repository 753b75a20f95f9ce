"""Estimators on networks, where theory says they agree."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import harness
from harness.bilevel import Task
from harness.problems.conv4 import Conv4
from harness.pytree import Layout, Params


@dataclass(frozen=True)
class TinyNet:
    """A smooth network small enough for a dense Hessian: 3 inputs, 4 tanh units, 1 output."""

    def theta(self) -> Params:
        generator = torch.Generator().manual_seed(0)
        shapes = {"a": (4, 3), "b": (4,), "c": (1, 4)}
        return {k: torch.randn(s, generator=generator, dtype=torch.float64) / 2 for k, s in shapes.items()}

    def inner_loss(self, params: Params, support: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = support
        hidden = torch.tanh(inputs @ params["a"].T + params["b"])
        return (hidden @ params["c"].T - targets).square().mean()

    def outer_loss(self, params: Params, query: Any) -> Tensor:
        return self.inner_loss(params, query)

    def tasks(self, n: int, seed: int) -> list[Task]:
        generator = torch.Generator().manual_seed(seed)

        def data() -> tuple[Tensor, Tensor]:
            inputs = torch.randn(12, 3, generator=generator, dtype=torch.float64)
            return inputs, torch.sin(inputs.sum(1, keepdim=True))

        return [Task(data(), data()) for _ in range(n)]


def flat(params: Params) -> Tensor:
    return torch.cat([p.reshape(-1) for p in params.values()]).double()


def distance(grad: Params, expected: Params) -> float:
    return float((flat(grad) - flat(expected)).norm() / flat(expected).norm())


def test_converged_cg_is_the_dense_solve_on_a_small_network() -> None:
    problem = TinyNet()
    [task] = problem.tasks(1, 1)
    theta, lam = problem.theta(), 2.0
    estimator = harness.estimator("imaml-cg", steps=8, lr=0.1, lam=lam, cg_steps=60)
    result = estimator.meta_gradient(problem, task, theta)
    layout, phi = Layout.of(theta), result.diagnostics.phi
    hessian = torch.autograd.functional.hessian(
        lambda v: problem.inner_loss(layout.unravel(v), task.support), phi, vectorize=False
    )
    operator = torch.eye(phi.numel(), dtype=phi.dtype) + torch.as_tensor(hessian) / lam
    phi = phi.clone().requires_grad_()
    (right,) = torch.autograd.grad(problem.outer_loss(layout.unravel(phi), task.query), phi)
    expected = layout.unravel(torch.linalg.solve(operator, right))
    assert float(torch.linalg.eigvalsh(operator)[0]) > 0
    assert distance(result.grad, expected) < 1e-9
    assert result.diagnostics.negative_curvature is False


@pytest.mark.parametrize("name", ["maml", "maml-replay"])
def test_exact_methods_meet_finite_differences_on_a_small_network(name: str) -> None:
    problem = TinyNet()
    [task] = problem.tasks(1, 2)
    theta, lam, lr, steps = problem.theta(), 0.5, 0.1, 5
    layout = Layout.of(theta)
    start = layout.ravel(theta)

    def outer(point: Tensor) -> float:
        phi = point
        for _ in range(steps):
            leaf = phi.detach().requires_grad_()
            (grad,) = torch.autograd.grad(problem.inner_loss(layout.unravel(leaf), task.support), leaf)
            phi = phi - lr * (grad + lam * (phi - point))
        return float(problem.outer_loss(layout.unravel(phi), task.query))

    grad = flat(harness.estimator(name, steps=steps, lr=lr, lam=lam).meta_gradient(problem, task, theta).grad)
    h = 1e-5
    for index in range(start.numel()):
        step = torch.zeros_like(start)
        step[index] = h
        slope = (outer(start + step) - outer(start - step)) / (2 * h)
        assert slope == pytest.approx(float(grad[index]), rel=1e-6, abs=1e-9)


def conv4(dtype: str) -> tuple[Conv4, Task]:
    problem = Conv4(ways=5, shots=1, queries=2, dtype=dtype)
    [task] = problem.tasks(1, 0)
    return problem, task


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_replay_is_maml_on_the_papers_network(dtype: str, tolerance: float) -> None:
    problem, task = conv4(dtype)
    grads = [
        harness.estimator(name, steps=4, lr=0.05, lam=2.0).meta_gradient(problem, task, problem.theta()).grad
        for name in ("maml", "maml-replay")
    ]
    assert distance(*grads) < tolerance
    assert all(g.dtype == getattr(torch, dtype) for g in grads[0].values())


def test_negative_curvature_is_flagged_and_the_estimate_stays_finite() -> None:
    """At λ far below the Hessian's most negative eigenvalue the operator I + H/λ is indefinite."""
    problem, task = conv4("float64")
    estimator = harness.estimator("imaml-cg", steps=2, lr=0.01, lam=0.01, cg_steps=20)
    result = estimator.meta_gradient(problem, task, problem.theta())
    assert result.diagnostics.negative_curvature is True
    assert bool(flat(result.grad).isfinite().all())
