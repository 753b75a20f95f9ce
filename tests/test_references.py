"""The two references against closed forms and finite differences."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import harness
from harness import references
from harness.bilevel import Problem, Task
from harness.cell import Reference
from harness.estimators import Estimator
from harness.objective import Objective
from harness.problems.linear import LinearRegression, Quadratic
from harness.problems.logistic import LogisticRegression
from harness.pytree import Params
from harness.references import NoReference, implicit_gradient, inner_minimiser, reference_gradient, require_references

LAM = 0.1
LR = 1 / 1.1


@dataclass(frozen=True)
class WithoutClosedForm:
    """Another problem, stripped of its closed form."""

    problem: Problem

    def theta(self) -> Params:
        return self.problem.theta()

    def inner_loss(self, params: Params, support: Any) -> Tensor:
        return self.problem.inner_loss(params, support)

    def outer_loss(self, params: Params, query: Any) -> Tensor:
        return self.problem.outer_loss(params, query)

    def tasks(self, n: int, seed: int) -> Any:
        return self.problem.tasks(n, seed)


@dataclass(frozen=True)
class Curve:
    """Inner loss Σ c φ²/2 + q φ⁴/4, outer loss Σ φ; the task's support holds c."""

    start: Tensor
    curvatures: Tensor
    quartic: float = 0.0

    def theta(self) -> Params:
        return {"w": self.start}

    def inner_loss(self, params: Params, support: Tensor) -> Tensor:
        w = params["w"]
        return (support * w.square() / 2 + self.quartic * w.square().square() / 4).sum()

    def outer_loss(self, params: Params, query: Tensor) -> Tensor:
        return (params["w"] * query).sum()

    def tasks(self, n: int, seed: int) -> list[Task]:
        return [Task(self.curvatures, torch.ones_like(self.start))] * n


def distance(grad: Params, expected: Params) -> float:
    return float((grad["w"] - expected["w"]).norm() / expected["w"].norm())


def linear(**parameters: Any) -> tuple[LinearRegression, Task, Params]:
    parameters = {"dim": 20, "n": 40} | parameters
    problem = LinearRegression(**parameters)
    return problem, problem.tasks(1, 0)[0], problem.theta()


def estimator(name: str = "fomaml", **parameters: Any) -> Estimator:
    return harness.estimator(name, **{"steps": 7, "lr": LR, "lam": LAM, **parameters})


def test_backprop_meets_the_k_step_closed_form() -> None:
    problem, task, theta = linear()
    grad = reference_gradient("backprop", problem, task, theta, estimator(), LR)
    assert distance(grad, problem.unrolled_meta_gradient(task, theta, LAM, LR, 7)) < 1e-12


def test_backprop_takes_the_steps_that_a_tolerance_left() -> None:
    problem, task, theta = linear()
    stopped = estimator("maml", steps=100, tol=1e-2)
    result = stopped.meta_gradient(problem, task, theta)
    assert 1 < result.diagnostics.steps < 100
    grad = reference_gradient("backprop", problem, task, theta, stopped, LR)
    expected = problem.unrolled_meta_gradient(task, theta, LAM, LR, result.diagnostics.steps)
    assert distance(grad, expected) < 1e-12
    assert distance(grad, problem.unrolled_meta_gradient(task, theta, LAM, LR, 100)) > 1e-4


@pytest.mark.parametrize("inner", ["heavy-ball(momentum=0.5)", "nesterov", "adam"])
def test_backprop_goes_through_the_inner_solver_that_was_run(inner: str) -> None:
    problem, task, theta = linear()
    maml = estimator("maml", inner=inner, lr=0.1)
    grad = reference_gradient("backprop", problem, task, theta, maml, 0.1)
    assert distance(grad, maml.meta_gradient(problem, task, theta).grad) < 1e-12


@pytest.mark.parametrize("inner", ["lbfgs", "newton-cg"])
def test_backprop_through_steps_without_derivatives_is_refused(inner: str) -> None:
    problem, task, theta = linear()
    with pytest.raises(NoReference, match=f"'backprop': the steps of inner solver '{inner}' cannot be differentiated"):
        reference_gradient("backprop", problem, task, theta, estimator(inner=inner), LR)
    with pytest.raises(NoReference, match="use 'implicit'"):
        require_references(["implicit", "backprop"], estimator(inner=inner))


@pytest.mark.parametrize("kind", ["backprop", "implicit"])
def test_numbers_of_single_precision_are_taken_as_they_are_and_computed_with_in_double(kind: Reference) -> None:
    problem, task, theta = linear(dtype="float32")
    grad = reference_gradient(kind, problem, task, theta, estimator(), LR)["w"]
    wide = Task(*(tuple(tensor.double() for tensor in data) for data in (task.support, task.query)))
    start = {"w": theta["w"].double()}
    if kind == "backprop":
        expected = problem.unrolled_meta_gradient(wide, start, LAM, LR, 7)
    else:
        expected = problem.implicit_meta_gradient(wide, start, LAM)
    assert grad.dtype == torch.float64
    assert distance({"w": grad}, expected) < 1e-12


@pytest.mark.parametrize("kappa", [1.0, 100.0, 1e6])
@pytest.mark.parametrize("lam", [1e-3, LAM, 10.0])
def test_the_general_implicit_reference_meets_the_closed_form(kappa: float, lam: float) -> None:
    problem, task, theta = linear(kappa=kappa)
    bare = WithoutClosedForm(problem)
    grad = reference_gradient("implicit", bare, task, theta, estimator(lam=lam, lr=1 / (1 + lam)), 1 / (1 + lam))
    assert distance(grad, problem.implicit_meta_gradient(task, theta, lam)) < 1e-9


@pytest.mark.parametrize("lam", [1e-3, 1.0])
def test_the_general_implicit_reference_meets_newtons_method_where_the_problem_is_not_quadratic(lam: float) -> None:
    problem = LogisticRegression()
    [task], theta = problem.tasks(1, 3), problem.theta()
    grad = reference_gradient("implicit", WithoutClosedForm(problem), task, theta, estimator(lam=lam), LR)
    assert distance(grad, problem.implicit_meta_gradient(task, theta, lam)) < 1e-9


def test_the_general_implicit_reference_meets_finite_differences_of_the_outer_loss_on_a_network() -> None:
    problem = harness.problem("sinusoid", hidden=[6], activation="tanh", dtype="float64")
    [task], theta = problem.tasks(1, 0), problem.theta()
    objective = Objective.of(problem, task, theta, 2.0)

    def outer(shift: Tensor) -> float:
        moved = Objective.of(problem, task, objective.layout.unravel(objective.theta + shift), 2.0)
        return float(objective.outer_loss(inner_minimiser(moved)))

    grad, h = implicit_gradient(objective), 1e-5
    for step in torch.eye(objective.theta.numel(), dtype=torch.float64):
        slope = (outer(h * step) - outer(-h * step)) / (2 * h)
        assert slope == pytest.approx(float(grad @ step), rel=1e-6, abs=1e-8)


def test_lambda_by_parameter() -> None:
    problem, task, theta = linear()
    lam = torch.linspace(0.1, 3, 20, dtype=torch.float64)
    support, query = Quadratic.of(task.support), Quadratic.of(task.query)
    regularised = support.hessian + lam.diag()
    phi = torch.linalg.solve(regularised, support.linear + lam * theta["w"])
    expected = lam * torch.linalg.solve(regularised, query.gradient(phi))
    grad = reference_gradient("implicit", problem, task, theta, estimator(lam={"w": lam}), LR)
    assert distance(grad, {"w": expected}) < 1e-10


def test_more_parameters_than_a_dense_hessian_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, task, theta = linear()
    monkeypatch.setattr(references, "DENSE_SIZE", 10)
    grad = reference_gradient("implicit", WithoutClosedForm(problem), task, theta, estimator(), LR)
    assert distance(grad, problem.implicit_meta_gradient(task, theta, LAM)) < 1e-11
    monkeypatch.setattr(references, "CG_STEPS", 3)
    with pytest.raises(NoReference, match=r"CG ends at a relative residual of \d.\de-\d\d, 1e-12 is needed"):
        reference_gradient("implicit", WithoutClosedForm(problem), task, theta, estimator(), LR)


def test_kinks_are_an_error_that_says_how_near_the_solution_it_got() -> None:
    problem = harness.problem("sinusoid", activation="relu", dtype="float64")
    [task], theta = problem.tasks(1, 0), problem.theta()
    message = r"its gradient falls to \d.\de-0\d of its norm at theta, 1e-10 is needed; kinks \(ReLU\)"
    with pytest.raises(NoReference, match=message) as caught:
        reference_gradient("implicit", problem, task, theta, estimator(lam=2.0, lr=0.01), 0.01)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dense", [True, False])
def test_a_saddle_is_no_minimiser(dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not dense:
        monkeypatch.setattr(references, "DENSE_SIZE", 1)
    curvatures = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)
    problem = Curve(torch.zeros(3, dtype=torch.float64), curvatures)
    [task] = problem.tasks(1, 0)
    with pytest.raises(NoReference, match=r"not positive definite .* \(smallest eigenvalue about -2\)"):
        reference_gradient("implicit", problem, task, problem.theta(), estimator(lam=1.0), 0.1)
    grad = reference_gradient("implicit", problem, task, problem.theta(), estimator(lam=4.0), 0.1)
    assert distance(grad, {"w": 4 / (curvatures + 4)}) < 1e-12


def test_of_two_minima_it_finds_the_one_the_inner_loop_heads_for() -> None:
    """φ⁴/4 − φ²/2 has minima at ±1. From θ = 0.1 Newton's method and gradient descent go to the right one."""
    problem = Curve(torch.tensor([0.1], dtype=torch.float64), torch.tensor([-1.0], dtype=torch.float64), quartic=1.0)
    [task] = problem.tasks(1, 0)
    objective = Objective.of(problem, task, problem.theta(), 1e-3)
    assert float(inner_minimiser(objective)) == pytest.approx(1, abs=1e-2)
    assert float(inner_minimiser(objective, torch.tensor([-0.8], dtype=torch.float64))) == pytest.approx(-1, abs=1e-2)
    phi = float(inner_minimiser(objective))
    grad = reference_gradient("implicit", problem, task, problem.theta(), estimator(lam=1e-3, lr=0.1), 0.1)
    assert float(grad["w"]) == pytest.approx(1e-3 / (3 * phi**2 - 1 + 1e-3), rel=1e-9)


def test_a_start_at_the_solution_is_one() -> None:
    problem = Curve(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    [task] = problem.tasks(1, 0)
    grad = reference_gradient("implicit", problem, task, problem.theta(), estimator(lam=1.0), 0.1)
    assert grad["w"].tolist() == pytest.approx([0.5, 0.5])


def test_without_a_proximal_term_there_is_no_implicit_reference() -> None:
    problem, task, theta = linear()
    with pytest.raises(NoReference, match=r"'implicit': lam = 0\.0; without a proximal term"):
        reference_gradient("implicit", problem, task, theta, estimator(lam=0.0), LR)
    require_references(["backprop"], estimator(lam=0.0))
    require_references(["implicit", "backprop"], estimator())
