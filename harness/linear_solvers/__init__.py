"""Solvers of B x = b for a symmetric operator B, one a file."""

from harness.linear_solvers.base import LinearSolution, LinearSolver, Operator
from harness.linear_solvers.conjugate_gradient import ConjugateGradient
from harness.linear_solvers.lanczos import largest_eigenvalue

__all__ = ["ConjugateGradient", "LinearSolution", "LinearSolver", "Operator", "largest_eigenvalue"]
