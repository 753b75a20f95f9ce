"""Solvers of B x = b for a symmetric operator B, one a file."""

from harness.linear_solvers.base import LinearSolution, LinearSolver, Operator
from harness.linear_solvers.conjugate_gradient import ConjugateGradient
from harness.linear_solvers.dense import Dense
from harness.linear_solvers.lanczos import extreme_eigenvalues, largest_eigenvalue
from harness.linear_solvers.minres import Minres
from harness.linear_solvers.neumann import Neumann
from harness.linear_solvers.nystrom import Nystrom

__all__ = [
    "ConjugateGradient",
    "Dense",
    "LinearSolution",
    "LinearSolver",
    "Minres",
    "Neumann",
    "Nystrom",
    "Operator",
    "extreme_eigenvalues",
    "largest_eigenvalue",
]
