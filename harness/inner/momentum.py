"""What the solvers with momentum share: a velocity, and the momentum chosen by conditioning."""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias

import torch
from torch import Tensor

from harness.checks import require_fraction
from harness.errors import BadInput
from harness.inner.base import DifferentiableSolver, State
from harness.objective import Objective

Momentum: TypeAlias = float | Literal["auto"]
"""β in [0, 1), or ``"auto"``: the best one for the strong convexity that the proximal term gives."""


@dataclass(frozen=True)
class MomentumSolver(DifferentiableSolver):
    """A solver whose state is φ and its velocity v, from v = 0.

    Args:
        momentum: β in [0, 1), or ``"auto"``, which needs λ > 0.

    Raises:
        BadInput: ``momentum`` out of its range.
    """

    momentum: Momentum = "auto"

    def __post_init__(self) -> None:
        if self.momentum != "auto":
            require_fraction("momentum", self.momentum, ", nor 'auto'")

    @abstractmethod
    def best_momentum(self, root: float) -> float:
        """What ``"auto"`` takes, of √(αλ) = ``root``."""

    @property
    def beta(self) -> float:
        """β of a bound solver."""
        assert self.momentum != "auto", "bind the solver to its objective first"
        return self.momentum

    def bind(self, objective: Objective, lr: float) -> Self:
        """With a number for ``"auto"``."""
        if self.momentum != "auto":
            return self
        return replace(self, momentum=self.best_momentum(_root_of_conditioning(objective, lr)))

    def initial(self, phi: Tensor) -> State:
        """φ, and no velocity."""
        return phi, torch.zeros_like(phi)


def _root_of_conditioning(objective: Objective, lr: float) -> float:
    """√(αλ), at most 1; λ, the least one where there are several, is the strong convexity of G for a convex L̂.

    It is 1/√κ for a G of condition number κ = L/λ and the step size α = 1/L. Above 1 the step is too long for any
    momentum to help, and 1 makes the best momentum 0.

    Raises:
        BadInput: λ is 0, which says nothing about the strong convexity of G.
    """
    lam = float(objective.lam.min()) if isinstance(objective.lam, Tensor) else objective.lam
    if lam <= 0.0:
        raise BadInput("momentum: 'auto' needs a proximal strength lam above 0; give a number")
    return math.sqrt(min(lr * lam, 1.0))
