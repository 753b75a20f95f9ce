"""What the solvers with momentum share: its range, and the conditioning it is chosen by."""

import math
from typing import Literal, TypeAlias

from torch import Tensor

from harness.checks import require_fraction
from harness.errors import BadInput
from harness.objective import Objective

Momentum: TypeAlias = float | Literal["auto"]
"""β in [0, 1), or ``"auto"``: the best one for the strong convexity that the proximal term gives."""


def require_momentum(value: Momentum) -> None:
    """Raise :class:`BadInput` unless ``value`` is in [0, 1) or ``"auto"``."""
    if value != "auto":
        require_fraction("momentum", value, ", nor 'auto'")


def settled(momentum: Momentum) -> float:
    """The number a bound solver has."""
    assert momentum != "auto", "bind the solver to its objective first"
    return momentum


def root_of_conditioning(objective: Objective, lr: float) -> float:
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
