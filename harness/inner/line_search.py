"""Descent with a line search: what the solvers share that choose a direction by curvature."""

from abc import abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from harness.inner.base import InnerSolution, InnerSolver, Stop
from harness.objective import Objective
from harness.phases import phase

Directions: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(φ, ∇G(φ)) ↦ a descent direction of the same shape."""

ARMIJO = 1e-4
"""c, the share of the decrease promised by the slope that a step must bring."""
TRIALS = 40
"""Most step lengths tried; the last is 2⁻³⁹."""
ROUNDINGS = 10
"""How many units of rounding in G(φ) count as no increase."""


class LineSearchSolver(InnerSolver):
    """φ ← φ + t d with a descent direction d and t by backtracking, for each task its own. Not differentiable.

    A step costs one gradient, an inner loss for each t tried, and what the direction costs; it waits for the device
    once for each t. G never increases by more than rounding.
    """

    @abstractmethod
    def directions(self, objective: Objective, lr: float) -> Directions:
        """The rule for one solve, which may remember the points it is given.

        ``lr`` is the size of a step along the gradient, where no curvature is known.
        """

    def solve(self, objective: Objective, steps: int, lr: float, tol: float = 0.0) -> InnerSolution:
        """Descend."""
        phi, direction_at, stop = objective.theta, self.directions(objective, lr), Stop(tol)
        value = objective.value(phi)
        with torch.no_grad():
            for taken in range(steps):
                with phase("step"):
                    gradient = objective.gradient(phi)
                    if stop.at(gradient):
                        return InnerSolution(phi, taken)
                    phi, value = backtrack(objective, phi, value, gradient, direction_at(phi, gradient))
        return InnerSolution(phi, steps)


def backtrack(
    objective: Objective, phi: Tensor, value: Tensor, gradient: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor]:
    """φ + t d and its G for the first t of 1, ½, ¼, … with G(φ + t d) ≤ G(φ) + c t ∇G(φ)ᵀd (Armijo 1966), task by task.

    Near the solution the decrease drowns in the rounding of G, so that much is let pass; without it the search would
    end at an error of the root of the machine precision. A task for which no t will do stays where it is.

    Args:
        objective: G.
        phi: φ, shape (..., n).
        value: G(φ), shape (...).
        gradient: ∇G(φ), shape (..., n).
        direction: d, shape (..., n).
    """
    slope = (gradient * direction).sum(-1)
    allowed = value + ROUNDINGS * torch.finfo(value.dtype).eps * value.abs()
    end, end_value, found = phi, value, torch.zeros_like(value, dtype=torch.bool)
    length = 1.0
    for _ in range(TRIALS):
        trial = phi.add(direction, alpha=length)
        trial_value = objective.value(trial)
        passed = ~found & (trial_value <= allowed + ARMIJO * length * slope)
        end = torch.where(passed[..., None], trial, end)
        end_value = torch.where(passed, trial_value, end_value)
        found = found | passed
        if not bool((~found).any()):
            break
        length /= 2
    return end, end_value
