"""Truncated Neumann series (Lorraine, Vicol & Duvenaud 2020)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.checks import require_count, require_not_negative, require_positive
from harness.errors import BadInput
from harness.linear_solvers.base import LinearSolution, LinearSolver, Operator, dot, goal, relative
from harness.linear_solvers.lanczos import spectral_interval

ESTIMATE_PRODUCTS = 8
"""Most products with B that ``step="auto"`` spends."""


@dataclass(frozen=True)
class Neumann(LinearSolver):
    """The truncated Neumann series x_J = η Σ_{j<J} (I − ηB)^j b, which is J steps of gradient descent on the quadratic.

    Its residual is (I − ηB)^J b exactly. For B with eigenvalues in [μ, L], μ > 0 and η ≤ 1/L, both error and residual
    shrink at least by (1 − ημ)^J. Equal to backprop truncated to the last J steps of gradient descent with step size η
    (Lorraine et al., theorem 1, there for an inner loop at rest).

    Costs J products, the last for the residual alone, and two vectors beside x; ``step="auto"`` first spends up to
    eight more and waits for the device.

    Diverges when ‖I − ηB‖ > 1, that is for η‖B‖ > 2 or B indefinite. Norms of the residual are log-convex in J, so
    growth at the last step proves it, and the solution says so; a series too short to have grown does not show it. x is
    the truncated series all the same, and negative curvature ends nothing.

    Source: Lorraine, Vicol & Duvenaud, "Optimizing millions of hyperparameters by implicit differentiation", AISTATS
    2020, algorithm 3.

    Args:
        terms: J, most terms.
        step: η; ``"auto"`` takes 1/max|λ| by Lanczos, from above.
        tol: Stop once ‖b − B x‖ ≤ tol ‖b‖; costs one synchronisation a term.

    Raises:
        BadInput: A parameter out of its range.
    """

    terms: int
    step: float | Literal["auto"] = "auto"
    tol: float = 0.0

    def __post_init__(self) -> None:
        require_count("terms", self.terms)
        require_not_negative("tol", self.tol)
        if isinstance(self.step, str):
            if self.step != "auto":
                raise BadInput(f"step: {self.step!r} is neither a number > 0 nor 'auto'")
        else:
            require_positive("step", self.step)

    def solve(self, operator: Operator, rhs: Tensor) -> LinearSolution:
        """Solve ``operator(x) = rhs``."""
        step = self._step(operator, rhs)
        x = torch.zeros_like(rhs)
        residual = rhs
        squared = dot(rhs, rhs)
        threshold = squared * self.tol**2
        history = [squared]
        negative = torch.zeros_like(squared, dtype=torch.bool)
        for _ in range(self.terms):
            running = squared > threshold
            if self.tol > 0.0 and bool((~running).all()):
                break
            product = operator(residual)
            negative |= running & (dot(residual, product) <= 0)
            length = torch.where(running, step, 0.0)
            x.addcmul_(length, residual)
            residual = torch.addcmul(residual, length, product, value=-1)
            squared = dot(residual, residual)
            history.append(squared)
        rounding = 100 * torch.finfo(rhs.dtype).eps
        grew = squared > (history[-2] if len(history) > 1 else squared) * (1 + rounding)
        return LinearSolution(
            x,
            relative(torch.stack(history).sqrt()),
            negative.squeeze(-1),
            (squared <= history[0] * goal(self.tol, rhs.dtype) ** 2).squeeze(-1),
            (grew | ~squared.isfinite()).squeeze(-1),
        )

    def _step(self, operator: Operator, rhs: Tensor) -> Tensor:
        """η for each system, shape (..., 1)."""
        if self.step != "auto":
            return rhs.new_full((*rhs.shape[:-1], 1), self.step)
        smallest, largest = spectral_interval(operator, rhs, ESTIMATE_PRODUCTS)
        radius = torch.maximum(smallest.abs(), largest.abs())
        return torch.where(radius > 0, 1 / radius, 1.0).to(rhs)[..., None]
