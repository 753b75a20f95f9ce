"""Gradient descent."""

from dataclasses import dataclass

from torch import Tensor

from harness.inner.base import DifferentiableSolver, State


@dataclass(frozen=True)
class GradientDescent(DifferentiableSolver):
    """φ ← φ − α ∇G(φ) (paper, section 3.1). Converges on a quadratic at rate 1 − 1/κ for α = 1/(λ_max + λ).

    Costs one gradient a step; its state is φ alone.
    """

    def initial(self, phi: Tensor) -> State:
        """φ alone."""
        return (phi,)

    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """One step."""
        return (state[0].sub(gradient, alpha=lr),)
