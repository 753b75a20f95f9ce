"""Rates of convergence against theory, and the tolerance."""

import pytest
import torch
from torch import Tensor

from harness.inner import inner_solver
from harness.objective import Objective
from tests.inner.examples import BY_LINE_SEARCH, SPECS, Regression, TanhNet, distance, iterates, points

SETTING = Regression(lam=0.01)
"""L = 1.01, μ = 0.02: κ = 50.5, and κ by λ alone 101."""
ROOT = (SETTING.lr * SETTING.lam) ** 0.5


def errors(spec: str, steps: int) -> list[float]:
    return [float((phi - SETTING.solution).norm()) for phi in iterates(spec, SETTING, steps)]


def test_gradient_descent_at_its_rate() -> None:
    rate, fall = 1 - 0.02 / 1.01, errors("gd", 800)
    assert all(error <= rate**k * fall[0] * (1 + 1e-9) for k, error in enumerate(fall))
    assert fall[800] / fall[799] == pytest.approx(rate, rel=1e-3)


BETA = (1 - ROOT) / (1 + ROOT)
SLOWEST_ROOT = {"heavy-ball": 1 - ROOT, "nesterov": (BETA * (1 - 0.02 / 1.01)) ** 0.5}
"""Largest modulus among the eigenvalues of a step, those of the slowest eigenvector being complex."""


@pytest.mark.parametrize("spec", SLOWEST_ROOT)
def test_momentum_at_its_rate(spec: str) -> None:
    """The error swings as it falls, so its peaks are compared, over windows longer than half a swing."""
    fall = errors(spec, 160)
    rate = (max(fall[120:]) / max(fall[60:100])) ** (1 / 60)
    assert rate == pytest.approx(SLOWEST_ROOT[spec], rel=0.01)
    assert rate < 0.91 < 0.98 < 1 - 0.02 / 1.01


def test_nesterov_keeps_to_its_bound_at_every_step() -> None:
    objective = SETTING.objective()
    least = objective.value(SETTING.solution)
    start = objective.value(SETTING.theta) - least + SETTING.lam / 2 * (SETTING.theta - SETTING.solution).square().sum()
    for k, phi in enumerate(iterates("nesterov", SETTING, 120)):
        assert float(objective.value(phi) - least) <= float((1 - ROOT) ** k * start) + 1e-14


@pytest.mark.parametrize(("spec", "steps"), [("lbfgs", 120), ("newton-cg", 32), ("newton-cg(cg_steps=20)", 3)])
def test_line_search_reaches_machine_precision(spec: str, steps: int) -> None:
    assert distance(inner_solver(spec).solve(SETTING.objective(), steps, SETTING.lr).phi, SETTING.solution) < 1e-12


def test_newton_with_exact_directions_is_done_in_one_step() -> None:
    setting = Regression()
    phi = inner_solver("newton-cg(cg_steps=40)").solve(setting.objective(), 1, 1.0).phi
    assert distance(phi, setting.solution) < 1e-12


def gradient_norms(spec: str, objective: Objective, lr: float) -> Tensor:
    """‖∇G‖ where the solver takes its gradients, relative to the first, shape (60, ...)."""
    norms = torch.stack([objective.gradient(p).norm(dim=-1) for p in points(inner_solver(spec), objective, 60, lr)])
    return norms / norms[0]


@pytest.mark.parametrize("tol", [0.5, 0.05])
@pytest.mark.parametrize("spec", SPECS)
def test_tolerance_stops_at_the_first_gradient_that_meets_it(spec: str, tol: float) -> None:
    setting, lr = Regression(), 0.1 if spec == "adam" else 1 / 1.1
    expected = int((gradient_norms(spec, setting.objective(), lr) <= tol).int().argmax())
    objective = setting.objective()
    solution = inner_solver(spec).solve(objective, 60, lr, tol)
    assert solution.steps == expected > 0
    assert objective.counts.gradients == (2 if spec == "newton-cg" else 1) * expected + 1
    assert torch.equal(solution.phi, inner_solver(spec).solve(setting.objective(), expected, lr).phi)


@pytest.mark.parametrize("spec", [*SPECS[:-1], "newton-cg(cg_steps=1)"])
def test_tolerance_of_a_batch_waits_for_its_last_task(spec: str) -> None:
    setting, lr, tol = Regression(), 0.1 if spec == "adam" else 1 / 1.1, 0.05
    objective = Objective.of_tasks(setting.problem, setting.tasks, setting.problem.theta(), setting.lam)
    met = gradient_norms(spec, objective, lr) <= tol
    expected = int(met.all(dim=1).int().argmax())
    assert inner_solver(spec).solve(objective, 60, lr, tol).steps == expected > int(met.any(dim=1).int().argmax())


@pytest.mark.parametrize("spec", SPECS)
def test_tolerance_never_met_and_met_at_once(spec: str) -> None:
    setting = Regression()
    assert inner_solver(spec).solve(setting.objective(), 3, 0.01, 1e-300).steps == 3
    solution = inner_solver(spec).solve(setting.objective(), 3, 0.01, 1.0)
    assert solution.steps == 0
    assert torch.equal(solution.phi, setting.theta)


@pytest.mark.parametrize("lam", [0.3, 0.01])
@pytest.mark.parametrize("spec", BY_LINE_SEARCH)
def test_line_search_never_climbs_on_a_network_and_ends_where_it_is_flat(spec: str, lam: float) -> None:
    problem = TanhNet(scale=2.0)
    objective = Objective.of(problem, problem.tasks(1, 0)[0], problem.theta(), lam)
    hessian = torch.stack([objective.curvature(objective.theta)(row) for row in torch.eye(20, dtype=torch.float64)])
    assert float(torch.linalg.eigvalsh(hessian)[0]) < -0.1  # or the test would not be about non-convexity
    seen = points(inner_solver(spec), objective, 150, 0.1)
    values = torch.stack([objective.value(phi) for phi in seen])
    assert bool((values.diff() <= 1e-14 * values[:-1]).all())
    assert float(values[-1]) < 0.5 * float(values[0])
    assert float(objective.residual(seen[-1])) < 1e-4
