"""Every estimator against the closed forms of linear regression, in float64."""

import pytest
import torch
from torch import Tensor

import harness
from harness.bilevel import Task
from harness.estimators import Estimator
from harness.problems.linear import LinearRegression, Quadratic

LAM = 0.1
LR = 1 / 1.1
TOLERANCE = 1e-9


def setting(seed: int, kappa: float = 100.0) -> tuple[LinearRegression, Task]:
    problem = LinearRegression(dim=20, n=40, kappa=kappa, seed=seed)
    [task] = problem.tasks(1, seed)
    return problem, task


def distance(grad: Tensor, expected: Tensor) -> float:
    return float((grad - expected).norm() / expected.norm())


def estimate(estimator: Estimator, problem: LinearRegression, task: Task) -> Tensor:
    return estimator.meta_gradient(problem, task, problem.theta()).grad["w"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [1, 2, 7, 30])
@pytest.mark.parametrize("lam", [0.0, LAM, 3.0])
@pytest.mark.parametrize("name", ["maml", "maml-replay"])
def test_exact_methods_meet_the_k_step_closed_form(name: str, lam: float, steps: int, seed: int) -> None:
    problem, task = setting(seed)
    lr = 1 / (1 + lam)
    expected = problem.unrolled_meta_gradient(task, problem.theta(), lam, lr, steps)["w"]
    grad = estimate(harness.estimator(name, steps=steps, lr=lr, lam=lam), problem, task)
    assert distance(grad, expected) < TOLERANCE


@pytest.mark.parametrize("seed", range(3))
def test_plain_maml_is_the_power_of_the_step_matrix(seed: int) -> None:
    problem, task = setting(seed)
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    step = torch.eye(20, dtype=torch.float64) - 0.7 * support.hessian
    phi = problem.theta()["w"]
    for _ in range(5):
        phi = phi - 0.7 * support.gradient(phi)
    expected = torch.linalg.matrix_power(step, 5) @ query.gradient(phi)
    assert distance(estimate(harness.estimator("maml", steps=5, lr=0.7), problem, task), expected) < TOLERANCE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [1, 5, 40])
def test_fomaml_is_the_query_gradient_at_the_last_iterate(steps: int, seed: int) -> None:
    problem, task = setting(seed)
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    theta = phi = problem.theta()["w"]
    for _ in range(steps):
        phi = phi - LR * (support.gradient(phi) + LAM * (phi - theta))
    grad = estimate(harness.estimator("fomaml", steps=steps, lr=LR, lam=LAM), problem, task)
    assert distance(grad, query.gradient(phi)) < TOLERANCE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [1, 5, 40])
def test_converged_cg_is_the_dense_solve_at_the_last_iterate(steps: int, seed: int) -> None:
    problem, task = setting(seed)
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    theta = phi = problem.theta()["w"]
    for _ in range(steps):
        phi = phi - LR * (support.gradient(phi) + LAM * (phi - theta))
    operator = torch.eye(20, dtype=torch.float64) + support.hessian / LAM
    expected = torch.linalg.solve(operator, query.gradient(phi))
    estimator = harness.estimator("imaml-cg", steps=steps, lr=LR, lam=LAM, cg_steps=60)
    assert distance(estimate(estimator, problem, task), expected) < TOLERANCE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["maml", "maml-replay", "imaml-cg"])
def test_many_steps_reach_the_implicit_gradient(name: str, seed: int) -> None:
    problem, task = setting(seed, kappa=10.0)
    own = {"cg_steps": 60} if name == "imaml-cg" else {}
    estimator = harness.estimator(name, steps=400, lr="auto", lam=LAM, **own)
    expected = problem.implicit_meta_gradient(task, problem.theta(), LAM)["w"]
    assert distance(estimate(estimator, problem, task), expected) < TOLERANCE


def test_closed_forms_agree_with_each_other_and_with_finite_differences() -> None:
    problem, task = setting(0)
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    regularised = support.hessian + LAM * torch.eye(20, dtype=torch.float64)

    def outer(theta: Tensor) -> Tensor:
        phi = torch.linalg.solve(regularised, support.linear + LAM * theta)
        return phi @ query.hessian @ phi / 2 - query.linear @ phi

    theta = problem.theta()["w"]
    grad = problem.implicit_meta_gradient(task, {"w": theta}, LAM)["w"]
    h = 1e-4
    for index in range(5):
        step = torch.zeros_like(theta)
        step[index] = h
        slope = float((outer(theta + step) - outer(theta - step)) / (2 * h))
        assert slope == pytest.approx(float(grad[index]), rel=1e-6, abs=1e-8)
    unrolled = problem.unrolled_meta_gradient(task, {"w": theta}, LAM, LR, 5000)["w"]
    assert distance(unrolled, grad) < TOLERANCE


def test_auto_step_size_is_the_inverse_of_the_largest_curvature() -> None:
    problem, task = setting(1)
    result = harness.estimator("maml", steps=1, lr="auto", lam=LAM).meta_gradient(problem, task, problem.theta())
    assert result.diagnostics.lr == pytest.approx(1 / (1 + LAM), rel=1e-9)
    assert result.diagnostics.counts.step_size_hvps > 0


def test_diagnostics_say_what_was_done() -> None:
    problem, task = setting(2)
    theta = problem.theta()

    def counts(name: str, **own: int) -> tuple[int, int]:
        estimator = harness.estimator(name, steps=6, lr=LR, lam=LAM, **own)
        diagnostics = estimator.meta_gradient(problem, task, theta).diagnostics
        before = (diagnostics.counts.gradients, diagnostics.counts.hvps)
        assert 0 < diagnostics.inner_residual < 1
        assert (diagnostics.counts.gradients, diagnostics.counts.hvps) == before
        return before

    assert counts("maml") == (7, 6)
    assert counts("maml-replay") == (13, 6)
    assert counts("fomaml") == (7, 0)
    assert counts("imaml-cg", cg_steps=4) == (8, 4)


def test_inner_residual_is_that_of_the_last_iterate() -> None:
    problem, task = setting(3)
    support, theta = Quadratic.of(task.support), problem.theta()
    result = harness.estimator("fomaml", steps=9, lr=LR, lam=LAM).meta_gradient(problem, task, theta)
    phi = result.diagnostics.phi
    expected = (support.gradient(phi) + LAM * (phi - theta["w"])).norm() / support.gradient(theta["w"]).norm()
    assert result.diagnostics.inner_residual == pytest.approx(float(expected), rel=1e-12)


def test_a_meta_batch_is_the_mean_of_its_tasks() -> None:
    problem = LinearRegression(dim=10, n=20)
    tasks, theta = problem.tasks(3, 0), problem.theta()
    estimator = harness.estimator("imaml-cg", steps=4, lr=LR, lam=LAM)
    singles = [estimator.meta_gradient(problem, task, theta) for task in tasks]
    batch = estimator.meta_gradients(problem, tasks, theta)
    mean = torch.stack([single.grad["w"] for single in singles]).mean(0)
    assert distance(batch.grad["w"], mean) < 1e-12
    assert float(batch.query_loss) == pytest.approx(sum(float(s.query_loss) for s in singles) / 3)
    assert batch.counts.gradients == sum(s.diagnostics.counts.gradients for s in singles)
    with pytest.raises(harness.BadInput, match="at least one task"):
        estimator.meta_gradients(problem, [], theta)
