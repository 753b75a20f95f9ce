"""Nesterov's accelerated gradient descent."""

from dataclasses import dataclass

from torch import Tensor

from harness.inner.base import State
from harness.inner.momentum import MomentumSolver


@dataclass(frozen=True)
class Nesterov(MomentumSolver):
    """ψ = φ + βv; φ' = ψ − α ∇G(ψ); v ← φ' − φ; φ ← φ', from v = 0 (Nesterov 1983; constant β: 2004, section 2.2).

    Costs one gradient a step, at the look-ahead point ψ; its state is φ and v, two vectors. A tolerance is read at ψ.

    For α = 1/L and a μ-strongly convex, L-smooth G, β = (1 − √(αμ))/(1 + √(αμ)) gives G(φ_K) − G* ≤ (1 − 1/√κ)^K
    (G(θ) − G* + (μ/2)‖θ − φ*‖²) with κ = L/μ: √κ steps where gradient descent takes κ. On a quadratic the error
    itself falls by 1 − 1/√κ a step, up to a factor that grows linearly with K. ``"auto"`` takes μ = λ, what the
    proximal term gives for sure.

    The rate is slower than that where λ is far below the true μ (β is then too large, and the error rings), and does
    not hold for α above 1/L: on a quadratic it diverges from α of about 4/(3L) on, where gradient descent has until
    2/L. Where L̂ is not convex, ``"auto"`` overrates the strong convexity of G, and no rate holds.

    Args:
        momentum: β in [0, 1), or ``"auto"``, which needs λ > 0.

    Raises:
        BadInput: ``momentum`` out of its range.
    """

    def best_momentum(self, root: float) -> float:
        """(1 − √(αλ))/(1 + √(αλ))."""
        return (1.0 - root) / (1.0 + root)

    def point(self, state: State) -> Tensor:
        """ψ."""
        phi, velocity = state
        return phi.add(velocity, alpha=self.beta)

    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """One step."""
        phi = self.point(state).sub(gradient, alpha=lr)
        return phi, phi - state[0]
