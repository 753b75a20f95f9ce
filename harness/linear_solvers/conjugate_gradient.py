"""Conjugate gradients (Hestenes & Stiefel 1952)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.linear_solvers.base import LinearSolution, LinearSolver, Operator


@dataclass(frozen=True)
class ConjugateGradient(LinearSolver):
    """Conjugate gradients for a symmetric positive definite B, from x = 0.

    After t iterations ‖x_t − x*‖_B ≤ 2 ((√κ − 1)/(√κ + 1))^t ‖x*‖_B, and x_t is exact once t reaches the number of
    distinct eigenvalues. A direction p with pᵀB p ≤ 0 ends it: the iterate before that direction is kept, the best of
    those on which B proved positive definite, and the solution says so.

    With ``tol`` 0 nothing is read back from the device: every iteration is queued, and iterations after the end
    change nothing.

    Args:
        max_iterations: Most products with B.
        tol: Stop once ‖b − B x‖ ≤ tol ‖b‖; costs one synchronisation an iteration.
    """

    max_iterations: int
    tol: float = 0.0

    def solve(self, operator: Operator, rhs: Tensor) -> LinearSolution:
        """Solve ``operator(x) = rhs``."""
        x = torch.zeros_like(rhs)
        residual = rhs.clone()
        direction = residual
        squared = rhs.dot(rhs)
        threshold = squared * self.tol**2
        history = [squared]
        negative = torch.zeros((), dtype=torch.bool, device=rhs.device)
        for _ in range(self.max_iterations):
            if self.tol > 0.0 and bool((squared <= threshold) | negative):
                break
            product = operator(direction)
            curvature = direction.dot(product)
            negative = negative | ((curvature <= 0) & (squared > 0))
            length = torch.where(negative | (squared == 0), 0.0, squared / curvature)
            x = torch.addcmul(x, length, direction)
            residual = torch.addcmul(residual, length, product, value=-1)
            previous, squared = squared, residual.dot(residual)
            direction = torch.addcmul(residual, torch.where(previous > 0, squared / previous, 0.0), direction)
            history.append(squared)
        norms = torch.stack(history).sqrt()
        return LinearSolution(x, torch.where(norms[0] > 0, norms / norms[0], norms), negative)
