"""Meta-batches side by side and one by one, λ by parameter, and early stopping."""

from typing import Any

import pytest
import torch
from torch import Tensor

import harness
from harness.bilevel import Task
from harness.errors import BadInput
from harness.problems.linear import LinearRegression, Quadratic

ESTIMATORS: dict[str, dict[str, Any]] = {
    "maml": {},
    "maml-replay": {},
    "maml-checkpoint": {},
    "maml-truncated": {"last": 2},
    "fomaml": {},
    "reptile": {},
    "imaml-cg": {},
    "imaml-minres": {},
    "imaml-neumann": {"eta": 0.5},
    "imaml-nystrom": {"rank": 4},
    "imaml-dense": {},
    "darts-fd": {"epsilon": 0.1},
}


def flat(grad: dict[str, Tensor]) -> Tensor:
    return torch.cat([g.reshape(-1) for g in grad.values()])


def distance(grad: Tensor, expected: Tensor) -> float:
    return float((grad - expected).norm() / expected.norm())


@pytest.mark.parametrize("inner", ["gd", "adam(eps=0.1)", "nesterov", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_side_by_side_is_one_by_one(name: str, inner: str) -> None:
    if inner in ("newton-cg", "lbfgs") and name.startswith("maml"):
        with pytest.raises(BadInput, match="cannot be differentiated"):
            harness.estimator(name, steps=3, lam=1.0, inner=inner)
        return
    problem = harness.problem("sinusoid", hidden=(5, 5), activation="tanh", dtype="float64")
    tasks, theta = problem.tasks(3, 0), problem.theta()
    results = [
        harness.estimator(
            name, steps=3, lr=0.02, lam=20.0, inner=inner, batching=batching, **ESTIMATORS[name]
        ).meta_gradients(problem, tasks, theta)
        for batching in ("loop", "vmap")
    ]
    loop, vmap = results
    assert distance(flat(vmap.grad), flat(loop.grad)) < 1e-9
    assert float(vmap.query_loss) == pytest.approx(float(loop.query_loss), rel=1e-12)
    if inner not in ("newton-cg", "lbfgs"):
        assert vmap.counts == loop.counts


@pytest.mark.parametrize("name", ["maml", "maml-replay", "imaml-cg", "fomaml"])
def test_side_by_side_is_one_by_one_on_the_papers_network_in_single_precision(name: str) -> None:
    problem = harness.problem("conv4", ways=3, shots=1, queries=2, activation="tanh")
    tasks, theta = problem.tasks(3, 0), problem.theta()
    grads = [
        flat(
            harness.estimator(name, steps=2, lr=0.004, lam=200.0, batching=batching)
            .meta_gradients(problem, tasks, theta)
            .grad
        )
        for batching in ("loop", "vmap")
    ]
    assert distance(*grads) < 1e-6


def test_side_by_side_needs_equal_shapes_and_one_step_size() -> None:
    problem = LinearRegression(dim=3, n=6)
    uneven = [problem.tasks(1, 0)[0], LinearRegression(dim=3, n=7).tasks(1, 0)[0]]
    with pytest.raises(BadInput, match="data of equal shapes"):
        harness.estimator("maml", steps=1, batching="vmap").meta_gradients(problem, uneven, problem.theta())
    estimator = harness.estimator("maml", steps=1, lr="auto", batching="vmap")
    with pytest.raises(BadInput, match="'auto' differs from task to task"):
        estimator.meta_gradients(problem, problem.tasks(2, 0), problem.theta())
    with pytest.raises(BadInput, match="unknown batching 'vmpa': did you mean 'vmap'"):
        harness.estimator("maml", steps=1, batching="vmpa")


def setting() -> tuple[LinearRegression, Task, Tensor]:
    problem = LinearRegression(dim=6, n=12)
    [task] = problem.tasks(1, 0)
    return problem, task, torch.linspace(0.1, 2.0, 6, dtype=torch.float64)


@pytest.mark.parametrize("name", ["imaml-cg", "imaml-minres", "imaml-dense", "imaml-nystrom"])
def test_lambda_by_parameter_meets_its_closed_form(name: str) -> None:
    problem, task, lam = setting()
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    theta = problem.theta()
    regularised = support.hessian + torch.diag(lam)
    phi = torch.linalg.solve(regularised, support.linear + lam * theta["w"])
    expected = lam * torch.linalg.solve(regularised, query.gradient(phi))
    own = {"imaml-cg": {"cg_steps": 12}, "imaml-minres": {"minres_steps": 12}, "imaml-nystrom": {"rank": 6}}
    estimator = harness.estimator(name, steps=600, lr=0.3, lam={"w": lam}, **own.get(name, {}))
    assert distance(estimator.meta_gradient(problem, task, theta).grad["w"], expected) < 1e-9


@pytest.mark.parametrize("name", ["maml", "maml-replay", "maml-checkpoint"])
def test_unrolled_lambda_by_parameter_meets_its_closed_form(name: str) -> None:
    problem, task, lam = setting()
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    theta, lr, steps = problem.theta(), 0.3, 7
    phi, jacobian, identity = theta["w"], torch.eye(6, dtype=torch.float64), torch.eye(6, dtype=torch.float64)
    for _ in range(steps):
        phi = phi - lr * (support.gradient(phi) + lam * (phi - theta["w"]))
        jacobian = jacobian - lr * (support.hessian @ jacobian + torch.diag(lam) @ (jacobian - identity))
    expected = jacobian.T @ query.gradient(phi)
    estimator = harness.estimator(name, steps=steps, lr=lr, lam={"w": lam})
    assert distance(estimator.meta_gradient(problem, task, theta).grad["w"], expected) < 1e-12


def test_a_single_number_by_parameter_is_that_number() -> None:
    problem, task, _ = setting()
    grads = [
        harness.estimator("imaml-cg", steps=5, lr=0.3, lam=lam).meta_gradient(problem, task, problem.theta()).grad["w"]
        for lam in (0.7, {"w": 0.7})
    ]
    assert distance(*grads) < 1e-12


@pytest.mark.parametrize(
    ("lam", "message"),
    [
        ({"v": 1.0}, "lam: names"),
        ({"w": torch.ones(5)}, "lam: "),
        ({"w": -1.0}, "lam: an entry is negative"),
        ({"w": 0.0}, "lam: an entry is not above 0"),
    ],
)
def test_lambda_that_does_not_fit(lam: dict[str, Any], message: str) -> None:
    problem, task, _ = setting()
    with pytest.raises(BadInput, match=f"^{message}"):
        harness.estimator("imaml-cg", steps=1, lam=lam).meta_gradient(problem, task, problem.theta())


@pytest.mark.parametrize("name", ["maml", "maml-replay", "maml-checkpoint", "maml-truncated", "fomaml", "imaml-cg"])
def test_a_tolerance_ends_the_inner_loop_early_and_says_where(name: str) -> None:
    problem = LinearRegression(dim=6, n=12, kappa=5.0)
    [task] = problem.tasks(1, 0)
    theta = problem.theta()
    early = harness.estimator(name, steps=500, lr=0.6, lam=0.5, tol=1e-3).meta_gradient(problem, task, theta)
    taken = early.diagnostics.steps
    assert 1 < taken < 100
    assert early.diagnostics.inner_residual <= 1e-3
    if name == "maml-truncated":
        return  # with as many steps to come it has not yet begun to differentiate
    same = harness.estimator(name, steps=taken, lr=0.6, lam=0.5).meta_gradient(problem, task, theta)
    assert distance(early.grad["w"], same.grad["w"]) < 1e-12
    before = harness.estimator(name, steps=taken - 1, lr=0.6, lam=0.5).meta_gradient(problem, task, theta)
    assert before.diagnostics.inner_residual > 1e-3


@pytest.mark.parametrize("last", [1, 3, 8])
def test_truncation_is_a_neumann_series(last: int) -> None:
    """(I − Mʰ) J g(φ_K) for gradient descent on a quadratic."""
    problem = LinearRegression(dim=6, n=12)
    [task] = problem.tasks(1, 0)
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    identity = torch.eye(6, dtype=torch.float64)
    lam, lr = 0.3, 0.5
    regularised = support.hessian + lam * identity
    result = harness.estimator("maml-truncated", steps=12, lr=lr, lam=lam, last=last).meta_gradient(
        problem, task, problem.theta()
    )
    power = torch.linalg.matrix_power(identity - lr * regularised, last)
    expected = (identity - power) @ (lam * torch.linalg.inv(regularised)) @ query.gradient(result.diagnostics.phi)
    assert distance(result.grad["w"], expected) < 1e-10
    assert result.diagnostics.counts.hvps == last


def test_truncation_without_a_proximal_term_is_refused() -> None:
    with pytest.raises(BadInput, match="lam: 0 makes the truncated gradient 0"):
        harness.estimator("maml-truncated", steps=6, last=5)
    assert harness.estimator("maml-truncated", steps=5, last=5).lam == 0


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 10, 16])
@pytest.mark.parametrize("segment", ["sqrt", 1, 3, 100])
def test_any_segments_give_the_same_gradient(segment: int | str, steps: int) -> None:
    problem, task, _ = setting()
    theta = problem.theta()
    expected = harness.estimator("maml", steps=steps, lr=0.3, lam=0.2).meta_gradient(problem, task, theta)
    result = harness.estimator("maml-checkpoint", steps=steps, lr=0.3, lam=0.2, segment=segment).meta_gradient(
        problem, task, theta
    )
    assert distance(result.grad["w"], expected.grad["w"]) < 1e-13
    assert result.diagnostics.counts.hvps == steps
    assert result.diagnostics.counts.gradients == 2 * steps + 1
