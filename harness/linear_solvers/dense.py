"""A dense solve: the oracle for small problems."""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.checks import require_count, require_not_negative
from harness.errors import BadInput
from harness.linear_solvers.base import LinearSolution, LinearSolver, Operator, dot, goal, relative
from harness.linear_solvers.eigen import symmetric_eigen
from harness.phases import alike


@dataclass(frozen=True)
class Dense(LinearSolver):
    """x = B⁺ b by an eigendecomposition of the symmetric part of B, whose columns are B e_1, …, B e_n.

    The solution for a regular B of any sign; otherwise that of least norm, or of least squares and least norm where b
    is outside the range of B. Eigenvalues below n eps max|λ| in size count as 0, as in LAPACK's rank decisions; one of
    them, or one below 0, is flagged as negative curvature.

    Costs n products, O(n³) arithmetic and about four matrices n × n; on a GPU it waits for the device. Relative error
    about κ eps, so a κ above 1/(n eps) is treated as singular.

    Source: Golub & Van Loan, "Matrix computations", section 5.5.

    Args:
        max_size: Largest n it takes.
        tol: Relative residual up to which the solution counts as converged.

    Raises:
        BadInput: A parameter out of its range, or a right-hand side longer than ``max_size``.
    """

    max_size: int = 5000
    tol: float = 0.0

    def __post_init__(self) -> None:
        require_count("max_size", self.max_size)
        require_not_negative("tol", self.tol)

    def solve(self, operator: Operator, rhs: Tensor) -> LinearSolution:
        """Solve ``operator(x) = rhs``; the residual is that of the matrix, at no further product."""
        size = rhs.shape[-1]
        if size > self.max_size:
            raise BadInput(f"max_size: a dense solve of n = {size} is refused above {self.max_size}; use an iteration")
        identity = torch.eye(size, dtype=rhs.dtype, device=rhs.device)
        matrix = rhs.new_empty((*rhs.shape, size))
        for index in alike(size):
            matrix[..., index] = operator(identity[index].expand_as(rhs))
        values, vectors = symmetric_eigen(matrix)
        cutoff = size * torch.finfo(rhs.dtype).eps * values.abs().amax(-1, keepdim=True)
        inverses = torch.where(values.abs() <= cutoff, 0.0, 1 / values)
        coefficients = (vectors.mT @ rhs[..., None])[..., 0]
        x = (vectors @ (inverses * coefficients)[..., None])[..., 0]
        residual = rhs - (matrix @ x[..., None])[..., 0]
        residuals = relative(torch.stack([dot(rhs, rhs), dot(residual, residual)]).sqrt())
        return LinearSolution(
            x,
            residuals,
            values[..., 0] <= cutoff[..., 0],
            residuals[-1] <= goal(self.tol, rhs.dtype),
            ~residuals[-1].isfinite(),
        )
