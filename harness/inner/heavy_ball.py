"""Gradient descent with momentum: the heavy ball."""

from dataclasses import dataclass

from torch import Tensor

from harness.inner.base import State
from harness.inner.momentum import MomentumSolver


@dataclass(frozen=True)
class HeavyBall(MomentumSolver):
    """v ← βv − α ∇G(φ); φ ← φ + v, from v = 0 (Polyak 1964).

    Costs one gradient a step; its state is φ and v, two vectors.

    On a quadratic with eigenvalues in [μ, L] the error falls by √β a step, up to a factor that grows linearly with K,
    as long as (1 − √β)² ≤ αμ and αL ≤ (1 + √β)². ``"auto"`` takes β = (1 − √(αλ))², the least such β if all that is
    known of μ is μ ≥ λ: the rate is 1 − √(αλ), so 1 − 1/√κ for α = 1/L and μ = λ, and Polyak's optimum
    (√κ − 1)/(√κ + 1) for α = 4/(√L + √μ)².

    Beyond quadratics the rate holds only near the solution: farther off the iterates can cycle even on a smooth,
    strongly convex G, as they do with Polyak's optimum (Lessard, Recht & Packard 2016). Where L̂ is not convex,
    ``"auto"`` overrates the strong convexity of G, and no rate holds.

    Args:
        momentum: β in [0, 1), or ``"auto"``, which needs λ > 0.

    Raises:
        BadInput: ``momentum`` out of its range.
    """

    def best_momentum(self, root: float) -> float:
        """(1 − √(αλ))²."""
        return (1.0 - root) ** 2

    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """One step."""
        phi, velocity = state
        velocity = (self.beta * velocity).sub(gradient, alpha=lr)
        return phi + velocity, velocity
