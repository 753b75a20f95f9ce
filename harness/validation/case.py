"""One failed draw, and what other methods would have computed on it: what the hypotheses are made of.

All vectors are flat, of shape (n,), and in float64.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from harness.attention import math_attention
from harness.bilevel import ClosedForm, Problem, Task
from harness.estimators import Estimator
from harness.estimators.replay import MamlReplay
from harness.inner import DifferentiableSolver
from harness.linear_solvers import ConjugateGradient, Operator
from harness.objective import Objective
from harness.pytree import Params
from harness.references import inner_minimiser

CG_STEPS = 1000
"""Most CG steps of a solve that is meant to be exact."""
CG_TOLERANCE = 1e-11


@dataclass(frozen=True)
class Case:
    """A draw with what the function returned and the reference it misses."""

    problem: Problem
    task: Task
    theta: Params
    loop: Estimator
    """Carries K, λ and the inner solver."""
    steps: int | None
    """K, where it is known."""
    lr: float
    dtype: torch.dtype
    """What the function was asked to compute in."""
    returned: Tensor
    variation: float
    """How far a second call with the same input was from the first."""
    reference: Tensor

    @cached_property
    def objective(self) -> Objective:
        """G."""
        return Objective.of(self.problem, self.task, self.theta, self.loop.lam)

    @property
    def regularised(self) -> bool:
        """Whether λ is above 0 for every parameter."""
        lam = self.objective.lam
        return bool((lam > 0).all()) if isinstance(lam, Tensor) else lam > 0

    @property
    def error(self) -> float:
        """Relative error of what was returned."""
        return self.distance(self.reference)

    def distance(self, other: Tensor) -> float:
        """Relative error of what was returned if ``other`` were the reference; infinite where that is not finite."""
        error, norm = float((self.returned - other).norm()), float(other.norm())
        return error / norm if norm > 0 and error < float("inf") else float("inf")

    @cached_property
    def minimiser(self) -> Tensor:
        """φ*."""
        return inner_minimiser(self.objective, self.last if self.steps else None)

    @cached_property
    def last(self) -> Tensor:
        """φ_K."""
        return self.loop.descend(self.objective, self.lr).phi

    def query_gradient(self, phi: Tensor) -> Tensor:
        """∇L(φ)."""
        return self.objective.query_gradient(phi)[1]

    def scaled(self, multiple: float) -> Objective:
        """G with λ times ``multiple``."""
        return replace(self.objective, lam=self.objective.lam * multiple)

    def system(self, phi: Tensor) -> "System":
        """The implicit method's linear system at φ."""
        return System(self.objective.hessian(phi), self.objective.lam, self.query_gradient(phi))

    def iterates(self, objective: Objective, most: int) -> Iterator[tuple[int, Tensor]]:
        """Pairs of k and φ_k, from k = 1 on; K alone where the inner solver cannot be walked step by step."""
        solver = self.loop.solver
        if not isinstance(solver, DifferentiableSolver):
            if self.steps:
                yield self.steps, solver.solve(objective, self.steps, self.lr).phi
            return
        solver = solver.bind(objective, self.lr)
        with torch.no_grad():
            walk = solver.walk(solver.initial(objective.theta), objective.gradient, most, self.lr)
            for k, state in enumerate(walk, start=1):
                yield k, state[0]

    def implicit(self, multiple: float) -> Tensor:
        """The exact implicit gradient for λ times ``multiple``.

        Raises:
            NoReference: There is none.
        """
        lam = self.loop.lam
        if isinstance(self.problem, ClosedForm) and not isinstance(lam, dict):
            return self.objective.layout.ravel(
                self.problem.implicit_meta_gradient(self.task, self.theta, lam * multiple)
            )
        objective = self.scaled(multiple)
        phi = inner_minimiser(objective, self.minimiser)
        return System(objective.hessian(phi), objective.lam, self.query_gradient(phi)).exact()

    def implicit_at(self, multiple: float) -> Tensor:
        """The implicit gradient at the exact inner solution for λ times ``multiple``.

        Raises:
            NoReference: There is none.
        """
        return self.system(inner_minimiser(self.scaled(multiple), self.minimiser)).exact()

    def backprop(self, *, steps: int | None = None, multiple: float = 1.0, lr: float | None = None) -> Tensor:
        """Exact backprop through the inner loop, with another K, λ or α."""
        steps, lr = steps or self.loop.steps, lr or self.lr
        replay = MamlReplay(steps, lr, self.loop.lam, self.loop.inner, self.loop.tol)
        return replay.estimate(self.scaled(multiple), lr).grad

    def backprop_detached(self) -> Tensor:
        """Backprop through the inner loop with the θ of the proximal term taken for a constant."""
        theta = self.objective.theta.clone().requires_grad_()
        solver = self.loop.differentiable_solver().bind(self.objective, self.lr)
        with torch.enable_grad(), math_attention():
            state, _ = solver.advance(
                solver.initial(theta),
                lambda phi: self.objective.gradient(phi, create_graph=True),
                self.loop.steps,
                self.lr,
                self.loop.tol,
            )
            return torch.autograd.grad(self.objective.outer_loss(state[0]), theta)[0]


@dataclass(frozen=True)
class System:
    """(H + λ) x = λ g, the implicit method's linear system at one φ."""

    hessian: Operator
    lam: float | Tensor
    gradient: Tensor
    """g = ∇L(φ)."""

    def symmetric(self, multiple: float = 1.0) -> tuple[Operator, Tensor]:
        """B and b of (I + H/λ) z = b with λ times ``multiple``, symmetric where λ goes by parameter; x = √λ z."""
        root = self._root(multiple)
        return lambda z: z + self.hessian(z / root) / root, self.gradient / root

    def _root(self, multiple: float) -> float | Tensor:
        lam = self.lam * multiple
        return lam.sqrt() if isinstance(lam, Tensor) else math.sqrt(lam)

    def exact(self, multiple: float = 1.0) -> Tensor:
        """The solution with λ times ``multiple``."""
        return self.after(CG_STEPS, multiple, CG_TOLERANCE)

    def after(self, cg_steps: int, multiple: float = 1.0, tol: float = 0.0) -> Tensor:
        """The solution after some CG steps."""
        operator, rhs = self.symmetric(multiple)
        return ConjugateGradient(cg_steps, tol).solve(operator, rhs).x * self._root(multiple)

    def iterates(self, most: int) -> Iterator[tuple[int, Tensor]]:
        """Pairs of t and the solution after t CG steps, until they are exact or meet negative curvature."""
        operator, rhs = self.symmetric()
        x, residual, direction = torch.zeros_like(rhs), rhs, rhs
        squared = start = rhs.dot(rhs)
        for t in range(1, most + 1):
            product = operator(direction)
            curvature = direction.dot(product)
            if not bool((curvature > 0) & (squared > CG_TOLERANCE**2 * start)):
                return
            length = squared / curvature
            x, residual = x + length * direction, residual - length * product
            previous, squared = squared, residual.dot(residual)
            direction = residual + squared / previous * direction
            yield t, x * self._root(1.0)

    def residual(self, x: Tensor) -> float:
        """‖(H + λ) x − λ g‖ / ‖λ g‖: one product tells whether x solves the system."""
        right = self.lam * self.gradient
        return float((self.hessian(x) + self.lam * x - right).norm() / right.norm())

    def multiple(self, x: Tensor) -> float:
        """The multiple μ of λ with which x solves the system best: H x + μ λ (x − g) = 0 by least squares."""
        slope = self.lam * (x - self.gradient)
        return -float(self.hessian(x).dot(slope) / slope.dot(slope))

    def multiple_and_factor(self, x: Tensor) -> tuple[float, float]:
        """μ and c with which H x + μ λ x − c μ λ g = 0 holds best."""
        columns = torch.stack([self.lam * x, -self.lam * self.gradient], dim=1)
        multiple, product = torch.linalg.lstsq(columns, -self.hessian(x)[:, None]).solution[:, 0].tolist()
        return multiple, product / multiple if multiple else float("nan")
