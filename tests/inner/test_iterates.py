"""Iterates against the same method written out plainly."""

import pytest
import torch
from torch import Tensor

from harness.inner import inner_solver
from tests.inner.examples import Regression, differentiable, distance, points

STEPS = 12


def gradient_descent(setting: Regression, lr: float) -> list[Tensor]:
    phis = [setting.theta]
    for _ in range(STEPS):
        phis.append(phis[-1] - lr * setting.gradient(phis[-1]))
    return phis


def heavy_ball(setting: Regression, lr: float, beta: float) -> list[Tensor]:
    """Polyak's two-term recurrence."""
    phis = [setting.theta, setting.theta - lr * setting.gradient(setting.theta)]
    while len(phis) <= STEPS:
        phis.append(phis[-1] - lr * setting.gradient(phis[-1]) + beta * (phis[-1] - phis[-2]))
    return phis


def nesterov(setting: Regression, lr: float, beta: float) -> list[Tensor]:
    """The two-sequence form."""
    phis, ahead = [setting.theta], setting.theta
    for _ in range(STEPS):
        phis.append(ahead - lr * setting.gradient(ahead))
        ahead = phis[-1] + beta * (phis[-1] - phis[-2])
    return phis


def adam(setting: Regression, lr: float, beta1: float, beta2: float, eps: float) -> list[Tensor]:
    """With the moments as explicit sums over the past gradients."""
    phis, gradients = [setting.theta], list[Tensor]()
    for _ in range(STEPS):
        gradients.append(setting.gradient(phis[-1]))
        past = list(enumerate(reversed(gradients)))
        first = sum(beta1**age * g for age, g in past) / sum(beta1**age for age, _ in past)
        second = sum(beta2**age * g * g for age, g in past) / sum(beta2**age for age, _ in past)
        phis.append(phis[-1] - lr * first / torch.sqrt(torch.as_tensor(second) + eps**2))
    return phis


ROOT = (0.1 / 1.1) ** 0.5
WRITTEN_OUT = {
    "gd": gradient_descent(Regression(), 1 / 1.1),
    "heavy-ball(momentum=0.6)": heavy_ball(Regression(), 1 / 1.1, 0.6),
    "heavy-ball": heavy_ball(Regression(), 1 / 1.1, (1 - ROOT) ** 2),
    "heavy-ball(momentum=0)": gradient_descent(Regression(), 1 / 1.1),
    "nesterov(momentum=0.6)": nesterov(Regression(), 1 / 1.1, 0.6),
    "nesterov": nesterov(Regression(), 1 / 1.1, (1 - ROOT) / (1 + ROOT)),
    "nesterov(momentum=0)": gradient_descent(Regression(), 1 / 1.1),
    "adam": adam(Regression(), 1 / 1.1, 0.9, 0.999, 1e-8),
    "adam(beta1=0.5, beta2=0.8, eps=0.3)": adam(Regression(), 1 / 1.1, 0.5, 0.8, 0.3),
    "adam(beta1=0, beta2=0)": adam(Regression(), 1 / 1.1, 0.0, 0.0, 1e-8),
}


@pytest.mark.parametrize("spec", WRITTEN_OUT)
def test_differentiable_solvers(spec: str) -> None:
    setting = Regression()
    objective = setting.objective()
    for steps in range(STEPS + 1):
        solution = inner_solver(spec).solve(objective, steps, setting.lr)
        assert distance(solution.phi, WRITTEN_OUT[spec][steps]) < 1e-12
        assert solution.steps == steps


def test_adam_is_torchs_where_eps_is_negligible() -> None:
    setting = Regression()
    phi = setting.theta.clone().requires_grad_()
    optimiser = torch.optim.Adam([phi], lr=0.1)
    for _ in range(STEPS):
        phi.grad = setting.gradient(phi.detach())
        optimiser.step()
    assert distance(inner_solver("adam").solve(setting.objective(), STEPS, 0.1).phi, phi.detach()) < 1e-6


def test_adam_corrects_bias_in_single_precision_too() -> None:
    """1 − 0.999ᵗ loses five digits to cancellation when it is computed as written."""
    gradient = torch.tensor([0.3, -2.0])
    adam = differentiable("adam")
    phi = adam.update(adam.initial(torch.zeros(2)), gradient, 1.0)[0]
    assert distance(phi, -gradient.sign()) < 2e-7


@pytest.mark.parametrize("memory", [1, 3, 20])
def test_lbfgs_is_the_dense_update_of_the_last_pairs(memory: int) -> None:
    setting, lr = Regression(dim=8), 0.05
    identity = torch.eye(8, dtype=torch.float64)
    seen = points(inner_solver(f"lbfgs(memory={memory})"), setting.objective(), 15, lr)
    gradients = [setting.gradient(phi) for phi in seen]
    for k in range(14):
        pairs = [(seen[i + 1] - seen[i], gradients[i + 1] - gradients[i]) for i in range(max(k - memory, 0), k)]
        inverse = lr * identity if not pairs else identity * (pairs[-1][0] @ pairs[-1][1] / pairs[-1][1].square().sum())
        for s, y in pairs:
            left = identity - torch.outer(s, y) / (s @ y)
            inverse = left @ inverse @ left.T + torch.outer(s, s) / (s @ y)
        step, direction = seen[k + 1] - seen[k], -inverse @ gradients[k]
        length = float(step.norm() / direction.norm())
        assert distance(step, length * direction) < 1e-7
        assert length == pytest.approx(0.5 ** round(-torch.tensor(length).log2().item()), rel=1e-7)


def test_lbfgs_starts_with_a_gradient_step() -> None:
    setting = Regression()
    phi = inner_solver("lbfgs").solve(setting.objective(), 1, 0.05).phi
    assert distance(phi, setting.theta - 0.05 * setting.gradient(setting.theta)) < 1e-14


@pytest.mark.parametrize("cg_steps", [1, 2, 5])
def test_newton_minimises_over_the_krylov_space_of_each_point(cg_steps: int) -> None:
    setting, phi = Regression(), Regression().theta
    objective, matrix = setting.objective(), setting.matrix
    for step in range(1, 5):
        gradient = setting.gradient(phi)
        krylov = torch.stack([torch.linalg.matrix_power(matrix, power) @ gradient for power in range(cg_steps)], dim=1)
        basis = torch.linalg.qr(krylov).Q
        phi = phi - basis @ torch.linalg.solve(basis.T @ matrix @ basis, basis.T @ gradient)
        solution = inner_solver(f"newton-cg(cg_steps={cg_steps})").solve(objective, step, 0.3)
        assert distance(solution.phi, phi) < 1e-9


def work(spec: str, setting: Regression) -> tuple[int, int, int]:
    objective = setting.objective()
    inner_solver(spec).solve(objective, 7, setting.lr)
    return objective.counts.gradients, objective.counts.hvps, objective.counts.losses


@pytest.mark.parametrize("spec", ["gd", "heavy-ball", "nesterov", "adam"])
def test_work_of_a_differentiable_solver(spec: str) -> None:
    assert work(spec, Regression()) == (7, 0, 0)


def test_work_of_newton() -> None:
    """Two gradients and three products a step; Newton's step is taken at the first try."""
    assert work("newton-cg(cg_steps=3)", Regression()) == (2 * 7, 3 * 7, 1 + 7)


def test_work_of_lbfgs() -> None:
    """One gradient a step and, with κ at 2, no second try of the line search."""
    assert work("lbfgs", Regression(kappa=2.0)) == (7, 0, 1 + 7)
