"""The contract of the linear solvers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

Operator: TypeAlias = Callable[[Tensor], Tensor]
"""v ↦ B v on vectors of shape (n,)."""


@dataclass(frozen=True)
class LinearSolution:
    """What a linear solver found. Tensors stay on the device, so that reading nothing waits for nothing."""

    x: Tensor
    """The solution, shape (n,)."""
    residuals: Tensor
    """‖b − B x_t‖ / ‖b‖ by the solver's own recurrence for t = 0, 1, …, shape (iterations + 1,)."""
    negative_curvature: Tensor
    """Boolean scalar: a direction p with pᵀB p ≤ 0 was met, so B is not positive definite."""


class LinearSolver(ABC):
    """Solves B x = b, B symmetric, known by its products alone."""

    @abstractmethod
    def solve(self, operator: Operator, rhs: Tensor) -> LinearSolution:
        """Solve ``operator(x) = rhs`` from x = 0; ``rhs`` has shape (n,)."""
