"""The contract of the linear solvers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Operator: TypeAlias = Callable[[Tensor], Tensor]
"""v ↦ B v on vectors of shape (..., n); leading dimensions are independent systems, each with its own B."""


@dataclass(frozen=True)
class LinearSolution:
    """What a linear solver found, for each of the systems (...). Tensors stay on the device."""

    x: Tensor
    """The solution, shape (..., n)."""
    residuals: Tensor
    """‖b − B x_t‖ / ‖b‖ by the solver's own recurrence for t = 0, 1, …, shape (iterations + 1, ...); those of x = 0
    and of the answer alone where a solver does not iterate. 0 for b = 0."""
    negative_curvature: Tensor
    """Boolean (...): a direction p ≠ 0 with pᵀB p ≤ 0 was met, so B is not positive definite."""
    converged: Tensor
    """Boolean (...): the last residual is at most the tolerance asked for, or √eps of the dtype where none was."""
    diverged: Tensor
    """Boolean (...): x is of no use: the residual grew where it has to fall, or is not a finite number."""


class LinearSolver(ABC):
    """Solves B x = b, B symmetric, known by its products alone."""

    @abstractmethod
    def solve(self, operator: Operator, rhs: Tensor) -> LinearSolution:
        """Solve ``operator(x) = rhs``, from x = 0 where the method iterates.

        Systems that have ended (converged, or stopped by negative curvature) keep their x while others go on.

        Args:
            operator: v ↦ B v, shape (..., n) to (..., n).
            rhs: b, shape (..., n). ‖b‖² must neither overflow nor underflow in its dtype.
        """


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products over the last dimension, kept: shape (..., n) to (..., 1)."""
    if a.dim() == 1:
        return a.dot(b).unsqueeze(-1)
    return (a * b).sum(-1, keepdim=True)  # not a matrix product, which a GPU may round to ten bits


def relative(norms: Tensor) -> Tensor:
    """Residual history from ‖b − B x_t‖, shape (iterations + 1, ..., 1) to (iterations + 1, ...)."""
    return torch.where(norms[0] > 0, norms / norms[0], norms).squeeze(-1)


def goal(tol: float, dtype: torch.dtype) -> float:
    """The relative residual that counts as converged."""
    return tol if tol > 0.0 else math.sqrt(torch.finfo(dtype).eps)
