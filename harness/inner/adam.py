"""Adam."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.checks import require_fraction, require_positive
from harness.inner.base import DifferentiableSolver, State


@dataclass(frozen=True)
class Adam(DifferentiableSolver):
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; φ ← φ − α m̂ / √(v̂ + ε²), with g = ∇G(φ) (Kingma & Ba 2015).

    m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) correct the bias of starting from 0. Kingma and Ba add ε to the root; with
    ε² inside it the step is the same where v̂ is 0 and where it is large, and can be differentiated at v̂ = 0.

    The derivative there is α/ε, so with λ > 0 a step's derivative for a parameter that L̂ does not depend on (a dead
    unit, a bias before batch norm) is 1 − αλ/ε. Backprop through K steps then cancels powers of that: with the default
    ``eps`` it comes out as NaN after some six steps in float32. An ``eps`` of about αλ or more keeps it sound.

    Costs one gradient a step; its state is φ, m, v, three vectors, and the step t.

    α is about the length of a step in each parameter, whatever the curvature, so 1/(λ_max + λ) is no guide to it. No
    rate is known: with a constant α the error falls to about α and stays there, and on some convex losses it does not
    converge at all (Reddi, Kale & Kumar 2018). Look at the inner residual before trusting an implicit gradient here.

    Args:
        beta1: Decay of the first moment, in [0, 1).
        beta2: Decay of the second moment, in [0, 1).
        eps: ε, above 0.

    Raises:
        BadInput: A parameter out of its range.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        require_fraction("beta1", self.beta1)
        require_fraction("beta2", self.beta2)
        require_positive("eps", self.eps)

    def initial(self, phi: Tensor) -> State:
        """φ, both moments 0, step 0."""
        return phi, torch.zeros_like(phi), torch.zeros_like(phi), torch.zeros_like(phi[..., :1])

    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """One step."""
        phi, first, second, step = state
        step = step + 1
        first = first.lerp(gradient, 1 - self.beta1)
        second = second.lerp(gradient.square(), 1 - self.beta2)
        root = (second / _bias_left(self.beta2, step) + self.eps**2).sqrt()
        return phi - lr * (first / _bias_left(self.beta1, step)) / root, first, second, step


def _bias_left(beta: float, step: Tensor) -> Tensor:
    """1 − βᵗ, without the cancellation for β near 1."""
    return -torch.expm1(step * math.log(beta)) if beta > 0 else torch.ones_like(step)
