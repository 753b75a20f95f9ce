"""Every estimator × inner solver × problem, against an oracle that shares no code with it, in float64."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import harness
from harness.bilevel import Problem, Task
from harness.inner import DifferentiableSolver, inner_solver
from harness.objective import Objective
from harness.pytree import Layout
from tests.combinations import crossing

PROBLEMS: dict[str, dict[str, Any]] = {
    "linear": {"dim": 8, "n": 16},
    "logistic": {"dim": 6, "n": 20},
    "sinusoid": {"hidden": (6, 5), "activation": "tanh"},
    "mlp": {"width": 5, "depth": 2, "inputs": 3, "shots": 6, "queries": 6, "activation": "softplus"},
    "transformer": {"layers": 1, "width": 8, "heads": 2, "context": 5, "vocabulary": 6, "shots": 3, "queries": 3},
    "conv4": {"ways": 3, "shots": 1, "queries": 1, "activation": "tanh"},
}
UNROLLED = ["gd", "heavy-ball(momentum=0.5)", "nesterov(momentum=0.5)", "nesterov", "adam(eps=0.1)"]
OTHERS = ["lbfgs", "newton-cg"]
STEPS = 4

Setting = tuple[Problem, Task, float, float]


def setting(name: str) -> Setting:
    """A problem, a task, a proximal strength at which ∇²G is well conditioned and a stable step size."""
    problem = harness.problem(name, dtype="float64", **PROBLEMS[name])
    [task] = problem.tasks(1, 0)
    largest, _ = spectrum(problem, task, Layout.of(problem.theta()).ravel(problem.theta()))
    lam = 2.0 * largest
    return problem, task, lam, 0.5 / (largest + lam)


def spectrum(problem: Problem, task: Task, phi: Tensor) -> tuple[float, float]:
    """About the largest eigenvalue of H in magnitude, by power iteration, and ‖H‖ again at φ for safety's margin."""
    v = torch.ones_like(phi)
    norm = 0.0
    for _ in range(20):
        v = v / v.norm()
        product = hvp(problem, task, phi, v)
        norm = float(product.norm())
        v = product
    return 1.2 * norm, norm


def hvp(problem: Problem, task: Task, phi: Tensor, v: Tensor) -> Tensor:
    layout = Layout(tuple(problem.theta()), tuple(p.shape for p in problem.theta().values()))
    _, product = torch.autograd.functional.hvp(
        lambda point: problem.inner_loss(layout.unravel(point), task.support), phi, v
    )
    return torch.as_tensor(product)


def query_gradient(problem: Problem, task: Task, phi: Tensor) -> Tensor:
    layout = Layout.of(problem.theta())
    phi = phi.detach().requires_grad_()
    return torch.autograd.grad(problem.outer_loss(layout.unravel(phi), task.query), phi)[0]


def flat(result: harness.MetaGradient) -> Tensor:
    return torch.cat([g.reshape(-1) for g in result.grad.values()])


@pytest.mark.parametrize(("inner", "problem_name"), list(crossing(UNROLLED, [*PROBLEMS])))
def test_exact_estimators_are_the_derivative_of_the_k_step_solution(inner: str, problem_name: str) -> None:
    """Directional derivatives of θ ↦ L(φ_K(θ)) by central differences: off by O(h²) and by rounding over h."""
    problem, task, lam, lr = setting(problem_name)
    theta = problem.theta()
    layout = Layout.of(theta)
    point = layout.ravel(theta)
    solver = inner_solver(inner)
    assert isinstance(solver, DifferentiableSolver)

    def outer(start: Tensor) -> float:
        objective = Objective.of(problem, task, layout.unravel(start), lam)
        phi = solver.solve(objective, STEPS, lr).phi
        return float(problem.outer_loss(layout.unravel(phi), task.query))

    grads = {
        name: flat(
            harness.estimator(name, steps=STEPS, lr=lr, lam=lam, inner=inner, **own).meta_gradient(problem, task, theta)
        )
        for name, own in {
            "maml": {},
            "maml-replay": {},
            "maml-checkpoint": {},
            "maml-truncated": {"last": STEPS},
        }.items()
    }
    for name, grad in grads.items():
        assert float((grad - grads["maml"]).norm() / grad.norm()) < 1e-10, name
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        direction = torch.randn(point.shape, generator=generator, dtype=point.dtype)
        direction /= direction.norm()
        h = 1e-4
        slope = (outer(point + h * direction) - outer(point - h * direction)) / (2 * h)
        assert slope == pytest.approx(
            float(grads["maml"].dot(direction)), rel=1e-4, abs=1e-6 * float(grads["maml"].norm())
        )


def implicit(rate_of: str, kappa: float, smallest: float) -> tuple[dict[str, Any], float]:
    """Parameters of an implicit estimator, and the bound theory sets on its relative error in the solution.

    κ is the condition number of B = I + H/λ; its smallest eigenvalue turns residuals into errors.
    """
    root = math.sqrt(kappa)
    chebyshev = 2 * root * ((root - 1) / (root + 1)) ** 8
    return {
        "imaml-cg": ({"cg_steps": 8}, chebyshev),
        "imaml-minres": ({"minres_steps": 8}, chebyshev / smallest),
        "imaml-neumann": ({"terms": 30}, (1 - 1 / kappa) ** 30),
        "imaml-nystrom": ({"rank": 5000}, 1e-7),
        "imaml-dense": ({}, 1e-9),
        "darts-fd": ({"cg_steps": 8, "epsilon": 1e-4}, chebyshev + 1e-4),
    }[rate_of]


@pytest.mark.parametrize(("inner", "problem_name"), list(crossing([*UNROLLED, *OTHERS], [*PROBLEMS])))
@pytest.mark.parametrize(
    "name", ["imaml-cg", "imaml-minres", "imaml-neumann", "imaml-nystrom", "imaml-dense", "darts-fd"]
)
def test_implicit_estimators_solve_their_system(name: str, inner: str, problem_name: str) -> None:
    """At λ = 2‖H‖ the eigenvalues of I + H/λ lie in [1/2, 3/2], so κ ≤ 3."""
    if problem_name == "conv4" and name in ("imaml-dense", "imaml-nystrom"):
        with_all_products = harness.problem(problem_name, **PROBLEMS[problem_name]).theta()
        assert sum(p.numel() for p in with_all_products.values()) > 100_000
        return
    problem, task, lam, lr = setting(problem_name)
    own, bound = implicit(name, kappa=3.0, smallest=0.5)
    size = sum(p.numel() for p in problem.theta().values())
    own = {key: min(value, size) if key == "rank" else value for key, value in own.items()}
    estimator = harness.estimator(name, steps=STEPS, lr=lr, lam=lam, inner=inner, **own)
    result = estimator.meta_gradient(problem, task, problem.theta())
    phi, x = result.diagnostics.phi, flat(result)
    right = query_gradient(problem, task, phi)
    residual = x + hvp(problem, task, phi, x) / lam - right
    assert float(residual.norm() / right.norm()) <= 1.5 * bound * 1.5 + 1e-12
    assert result.diagnostics.negative_curvature is False


@pytest.mark.parametrize(("inner", "problem_name"), list(crossing([*UNROLLED, *OTHERS], [*PROBLEMS])))
def test_first_order_estimators_need_only_the_last_iterate(inner: str, problem_name: str) -> None:
    problem, task, lam, lr = setting(problem_name)
    theta = problem.theta()
    layout = Layout.of(theta)
    phi = inner_solver(inner).solve(Objective.of(problem, task, theta, lam), STEPS, lr).phi
    fomaml = harness.estimator("fomaml", steps=STEPS, lr=lr, lam=lam, inner=inner).meta_gradient(problem, task, theta)
    torch.testing.assert_close(flat(fomaml), query_gradient(problem, task, phi))
    reptile = harness.estimator("reptile", steps=STEPS, lr=lr, lam=lam, inner=inner).meta_gradient(problem, task, theta)
    torch.testing.assert_close(flat(reptile), layout.ravel(theta) - phi)
    assert float(flat(reptile).norm()) > 0


@pytest.mark.parametrize("inner", OTHERS)
@pytest.mark.parametrize("name", ["maml", "maml-replay", "maml-checkpoint", "maml-truncated"])
def test_what_cannot_be_differentiated_is_not_unrolled(name: str, inner: str) -> None:
    with pytest.raises(harness.BadInput, match=f"inner: '{inner}' cannot be differentiated step by step"):
        harness.estimator(name, steps=2, lam=1.0, inner=inner)


def test_every_built_in_estimator_is_in_this_file() -> None:
    from harness.registry import ESTIMATORS, INNER_SOLVERS
    from harness.registry import PROBLEMS as KNOWN

    here = {"maml", "maml-replay", "maml-checkpoint", "maml-truncated", "fomaml", "reptile"}
    here |= {"imaml-cg", "imaml-minres", "imaml-neumann", "imaml-nystrom", "imaml-dense", "darts-fd"}
    assert set(ESTIMATORS.builtin) == here
    assert set(KNOWN.builtin) == PROBLEMS.keys()
    assert set(INNER_SOLVERS.builtin) == {name.partition("(")[0] for name in [*UNROLLED, *OTHERS]}
