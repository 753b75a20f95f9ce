"""Hessian-free Newton's method."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from harness.checks import require_count
from harness.inner.line_search import Directions, LineSearchSolver
from harness.linear_solvers import ConjugateGradient
from harness.objective import Objective


@dataclass(frozen=True)
class NewtonCg(LineSearchSolver):
    """φ ← φ + t d, with d from a few steps of conjugate gradients on ∇²G(φ) d = −∇G(φ) and t by backtracking.

    The paper's "Hessian-free" variant, after Martens 2010; Nocedal & Wright 2006, algorithm 7.1. At negative
    curvature the iterate of CG before it is the direction, which is still one of descent; where there is none yet,
    d = −α ∇G(φ). Elsewhere α has no part: the step tried first is Newton's own, t = 1.

    Costs two gradients a step (one builds the graph of the products), a Hessian-vector product for each CG step and
    an inner loss for each t tried (mostly one), one loss at the start; it holds the activations of one gradient and
    some eight vectors.

    Solves a quadratic in one step if CG has as many steps as there are distinct eigenvalues; with fewer, each step
    brings the error in the norm of ∇²G down by 2((√κ − 1)/(√κ + 1))^cg_steps at worst: it converges linearly, not
    quadratically. That needs ∇²G positive definite: with λ below the Hessian's most negative eigenvalue it still
    descends, at worst like gradient descent. For piecewise linear networks the Hessian leaves out the kinks.

    Args:
        cg_steps: CG steps a direction.

    Raises:
        BadInput: ``cg_steps`` out of its range.
    """

    cg_steps: int = 5

    def __post_init__(self) -> None:
        require_count("cg_steps", self.cg_steps)

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """None: a step remembers nothing of those before."""
        return ()

    def directions(self, objective: Objective, lr: float) -> Directions:
        """Newton's direction, by CG."""
        return partial(self._direction, objective, lr)

    def _direction(self, objective: Objective, lr: float, phi: Tensor, gradient: Tensor) -> Tensor:
        newton = ConjugateGradient(self.cg_steps).solve(objective.curvature(phi), -gradient).x
        descends = (newton * gradient).sum(-1, keepdim=True) < 0
        return torch.where(descends, newton, -lr * gradient)
