"""Objectives the solvers are tested on."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.bilevel import Task
from harness.inner import DifferentiableSolver, InnerSolver, inner_solver
from harness.objective import Objective
from harness.problems.linear import LinearRegression, Quadratic
from harness.pytree import Layout, Params

SPECS = ["gd", "heavy-ball", "nesterov", "adam", "lbfgs", "newton-cg"]
DIFFERENTIABLE = ["gd", "heavy-ball", "nesterov", "adam"]
BY_LINE_SEARCH = ["lbfgs", "newton-cg"]


def distance(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).norm() / expected.norm())


@dataclass(frozen=True)
class Regression:
    """Linear regression with G = φᵀBφ/2 − cᵀφ up to a constant, its eigenvalues in [1/κ + λ, 1 + λ]."""

    lam: float = 0.1
    kappa: float = 100.0
    dim: int = 20
    seed: int = 0
    problem: LinearRegression = field(init=False)
    tasks: list[Task] = field(init=False)

    def __post_init__(self) -> None:
        problem = LinearRegression(dim=self.dim, n=2 * self.dim, kappa=self.kappa, seed=self.seed)
        object.__setattr__(self, "problem", problem)
        object.__setattr__(self, "tasks", list(problem.tasks(3, self.seed)))

    @property
    def lr(self) -> float:
        """1/L."""
        return 1 / (1 + self.lam)

    @property
    def theta(self) -> Tensor:
        return self.problem.theta()["w"]

    @property
    def matrix(self) -> Tensor:
        """B = A + λI of the first task."""
        return Quadratic.of(self.tasks[0].support).hessian + self.lam * torch.eye(self.dim, dtype=torch.float64)

    @property
    def linear(self) -> Tensor:
        """c = b + λθ."""
        return Quadratic.of(self.tasks[0].support).linear + self.lam * self.theta

    @property
    def solution(self) -> Tensor:
        """φ*."""
        return torch.linalg.solve(self.matrix, self.linear)

    def gradient(self, phi: Tensor) -> Tensor:
        """Bφ − c."""
        return self.matrix @ phi - self.linear

    def objective(self) -> Objective:
        return Objective.of(self.problem, self.tasks[0], self.problem.theta(), self.lam)


@dataclass(frozen=True)
class TanhNet:
    """A smooth, non-convex network: 3 inputs, 4 tanh units, 1 output; 20 parameters."""

    scale: float = 1.0

    def theta(self) -> Params:
        generator = torch.Generator().manual_seed(0)
        shapes = {"a": (4, 3), "b": (4,), "c": (1, 4)}
        return {k: self.scale * torch.randn(s, generator=generator, dtype=torch.float64) for k, s in shapes.items()}

    def inner_loss(self, params: Params, support: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = support
        hidden = torch.tanh(inputs @ params["a"].T + params["b"])
        return (hidden @ params["c"].T - targets).square().mean()

    def outer_loss(self, params: Params, query: tuple[Tensor, Tensor]) -> Tensor:
        return self.inner_loss(params, query)

    def tasks(self, n: int, seed: int) -> list[Task]:
        generator = torch.Generator().manual_seed(seed)

        def data() -> tuple[Tensor, Tensor]:
            inputs = torch.randn(12, 3, generator=generator, dtype=torch.float64)
            return inputs, torch.sin(inputs.sum(1, keepdim=True))

        return [Task(data(), data()) for _ in range(n)]


def function(
    loss: Callable[[Tensor], Tensor], theta: list[float] | list[list[float]], lam: float = 0.0, tasks: int = 1
) -> Objective:
    """G of a loss written out, shape (..., n) to (...), around ``theta``."""
    start = torch.tensor(theta, dtype=torch.float64)
    return Objective(loss, loss, Layout.of({"w": start.reshape(-1, start.shape[-1])[0]}), start, lam, tasks)


def points(solver: InnerSolver, objective: Objective, steps: int, lr: float) -> list[Tensor]:
    """Where the solver takes its gradients, step by step."""
    seen: list[Tensor] = []
    gradient = objective.gradient

    def recorded(phi: Tensor, theta: Tensor | None = None, *, create_graph: bool = False) -> Tensor:
        seen.append(phi)
        return gradient(phi, theta, create_graph=create_graph)

    objective.gradient = recorded
    solver.solve(objective, steps, lr)
    objective.gradient = gradient
    return seen


def differentiable(spec: str) -> DifferentiableSolver:
    solver = inner_solver(spec)
    assert isinstance(solver, DifferentiableSolver)
    return solver


def iterates(spec: str, setting: Regression, steps: int) -> list[Tensor]:
    """φ_0, …, φ_K of a differentiable solver."""
    objective = setting.objective()
    solver = differentiable(spec).bind(objective, setting.lr)
    walk = solver.walk(solver.initial(objective.theta), objective.gradient, steps, setting.lr)
    return [objective.theta, *(state[0].detach() for state in walk)]
