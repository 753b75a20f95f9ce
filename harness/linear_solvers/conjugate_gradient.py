"""Conjugate gradients (Hestenes & Stiefel 1952)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.checks import require_count, require_not_negative
from harness.linear_solvers.base import LinearSolution, LinearSolver, Operator, dot, goal, relative


@dataclass(frozen=True)
class ConjugateGradient(LinearSolver):
    """Conjugate gradients for a symmetric positive definite B: x_t minimises ‖x − x*‖_B over span{b, …, B^(t−1) b}.

    After t iterations ‖x_t − x*‖_B ≤ 2 ((√κ − 1)/(√κ + 1))^t ‖x*‖_B, and x_t is exact once t reaches the number of
    distinct eigenvalues. On a singular B with b in its range it finds the solution of least norm.

    Costs one product an iteration; holds four vectors beside x: residual, product, direction and the next direction.

    Wrong for an indefinite B. A direction p with pᵀB p ≤ 0 ends it: the iterate before that direction is kept, the
    best of those on which B proved positive definite, and the solution says so. Where b is outside the range of a
    singular B there is no solution, and iterates grow without bound before that direction is met.

    With ``tol`` 0 nothing is read back from the device: every iteration is queued, and iterations after the end, at
    a residual of eps‖b‖, change nothing.

    Source: Hestenes & Stiefel, "Methods of conjugate gradients for solving linear systems", 1952; bound: Saad,
    "Iterative methods for sparse linear systems", theorem 6.29.

    Args:
        max_iterations: Most products with B.
        tol: Stop once ‖b − B x‖ ≤ tol ‖b‖, the last update included; costs one synchronisation an iteration.

    Raises:
        BadInput: A parameter out of its range.
    """

    max_iterations: int
    tol: float = 0.0

    def __post_init__(self) -> None:
        require_count("max_iterations", self.max_iterations)
        require_not_negative("tol", self.tol)

    def solve(self, operator: Operator, rhs: Tensor) -> LinearSolution:
        """Solve ``operator(x) = rhs``."""
        x = torch.zeros_like(rhs)
        residual = rhs.clone()
        direction = rhs
        squared = dot(rhs, rhs)
        threshold = squared * max(self.tol, torch.finfo(rhs.dtype).eps) ** 2
        history = [squared]
        negative = torch.zeros_like(squared, dtype=torch.bool)
        for _ in range(self.max_iterations):
            running = squared > threshold
            if self.tol > 0.0 and bool((~running | negative).all()):
                break
            product = operator(direction)
            curvature = dot(direction, product)
            negative |= running & (curvature <= 0)
            length = torch.where(running & ~negative, squared / curvature, 0.0)
            x.addcmul_(length, direction)
            residual.addcmul_(length, product, value=-1)
            previous, squared = squared, dot(residual, residual)
            direction = torch.addcmul(residual, torch.where(previous > 0, squared / previous, 0.0), direction)
            history.append(squared)
        return LinearSolution(
            x,
            relative(torch.stack(history).sqrt()),
            negative.squeeze(-1),
            (squared <= history[0] * goal(self.tol, rhs.dtype) ** 2).squeeze(-1),
            ~squared.isfinite().squeeze(-1),
        )
