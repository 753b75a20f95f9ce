"""MINRES (Paige & Saunders 1975)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.checks import require_count, require_not_negative
from harness.linear_solvers.base import LinearSolution, LinearSolver, Operator, dot, goal, relative

ROUNDING = 100
"""Multiples of eps‖B‖ up to which B counts as singular: the residual is then right to about a hundredth."""


@dataclass(frozen=True)
class Minres(LinearSolver):
    """Minimum residuals, for any symmetric B: x_t minimises ‖b − B x‖ over span{b, B b, …, B^(t−1) b}.

    B V_t = V_(t+1) T_t by Lanczos and T_t = Q R by one Givens rotation an iteration; x_t = V_t R⁻¹ Qᵀ(‖b‖ e_1) gains
    one column of V R⁻¹ an iteration. The residual never grows. For eigenvalues in [μ₁, μ₂], κ = μ₂/μ₁,
    ‖r_t‖ ≤ 2 ((√κ − 1)/(√κ + 1))^t ‖b‖; in [−μ₂, −μ₁] ∪ [μ₁, μ₂], ‖r_t‖ ≤ 2 ((κ − 1)/(κ + 1))^⌊t/2⌋ ‖b‖. On a singular
    B with b in its range it finds the solution of least norm.

    Costs one product an iteration, seven vectors beside x and about forty operations on scalars (each a kernel).

    Wrong as an implicit gradient where B is indefinite, though it solves the system: the inner solution is no
    minimum. ``negative_curvature`` is rᵀB r ≤ 0 of a residual, known from the rotations; it is found at the first t at
    which T_t is not positive definite, as early as CG finds it, and ends nothing. For b outside the range of a singular
    B the residual becomes the least one, and x may hold any part of the null space until a step is too long for the
    dtype, which ends it. The true residual is off by up to about κ² eps from the one reported (Sleijpen et al.).

    Source: Paige & Saunders, "Solution of sparse indefinite systems of linear equations", 1975; curvature: Liu &
    Roosta, "MINRES: from negative curvature detection to monotonicity properties", 2022; bounds: Greenbaum, "Iterative
    methods for solving linear systems", 1997, section 3.1; rounding: Sleijpen, van der Vorst & Modersitzki,
    "Differences in the effects of rounding errors in Krylov solvers for symmetric indefinite linear systems", 2000.

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
        eps = torch.finfo(rhs.dtype).eps
        x = previous = older = newer = torch.zeros_like(rhs)
        residual = dot(rhs, rhs).sqrt()
        threshold = residual * max(self.tol, eps)
        history = [residual]
        beta = above = corner = scale = torch.zeros_like(residual)
        cosine, sine = -torch.ones_like(residual), torch.zeros_like(residual)
        ended = residual <= 0
        negative = torch.zeros_like(ended)
        vector = rhs * torch.where(ended, 0.0, 1 / residual)
        for _ in range(self.max_iterations):
            if self.tol > 0.0 and bool(ended.all()):
                break
            product = operator(vector).addcmul(beta, previous, value=-1)
            alpha = dot(vector, product)
            product = product.addcmul(alpha, vector, value=-1)
            length = dot(product, product).sqrt()
            scale = torch.maximum(scale, (alpha**2 + beta**2 + length**2).sqrt())

            # Column t of T is (β, α, length): two rotations made rows t − 2 and t − 1 final, a third removes length.
            middle, pivot = cosine * corner + sine * alpha, sine * corner - cosine * alpha
            negative |= ~ended & (cosine * pivot >= 0)
            ended = ended | (torch.hypot(pivot, cosine * length) <= ROUNDING * eps * scale)  # ‖B r‖ / ‖r‖
            diagonal = torch.where(ended, 1.0, torch.hypot(pivot, length))
            column = vector.addcmul(above, older, value=-1).addcmul_(middle, newer, value=-1).div_(diagonal)
            above, corner = sine * length, -cosine * length
            cosine, sine = pivot / diagonal, length / diagonal

            step = cosine * residual
            ended = ended | (ROUNDING * eps * scale * step.abs() * dot(column, column).sqrt() > residual)
            x = x.addcmul(torch.where(ended, 0.0, step), column)
            residual = torch.where(ended, residual, sine * residual)
            history.append(residual)
            ended = ended | (residual <= threshold)
            previous, vector = vector, product * torch.where(ended, 0.0, 1 / length)
            beta, older, newer = length, newer, column
        return LinearSolution(
            x,
            relative(torch.stack(history)),
            negative.squeeze(-1),
            (residual <= history[0] * goal(self.tol, rhs.dtype)).squeeze(-1),
            ~residual.isfinite().squeeze(-1),
        )
