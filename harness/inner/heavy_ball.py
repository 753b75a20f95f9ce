"""Gradient descent with momentum: the heavy ball."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.inner.base import DifferentiableSolver, State
from harness.inner.momentum import Momentum, require_momentum, root_of_conditioning, settled
from harness.objective import Objective


@dataclass(frozen=True)
class HeavyBall(DifferentiableSolver):
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

    momentum: Momentum = "auto"

    def __post_init__(self) -> None:
        require_momentum(self.momentum)

    def bind(self, objective: Objective, lr: float) -> "HeavyBall":
        """With β = (1 − √(αλ))² for ``"auto"``."""
        if self.momentum != "auto":
            return self
        return replace(self, momentum=(1.0 - root_of_conditioning(objective, lr)) ** 2)

    def initial(self, phi: Tensor) -> State:
        """φ, and no velocity."""
        return phi, torch.zeros_like(phi)

    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """One step."""
        phi, velocity = state
        velocity = (settled(self.momentum) * velocity).sub(gradient, alpha=lr)
        return phi + velocity, velocity
