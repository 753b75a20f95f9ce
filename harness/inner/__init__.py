"""Solvers of the inner problem min over φ of G(φ) = L̂(φ) + (λ/2)‖φ − θ‖², one a file."""

from harness.inner.adam import Adam
from harness.inner.base import DifferentiableSolver, InnerSolution, InnerSolver, State
from harness.inner.gradient_descent import GradientDescent
from harness.inner.heavy_ball import HeavyBall
from harness.inner.lbfgs import Lbfgs
from harness.inner.nesterov import Nesterov
from harness.inner.newton_cg import NewtonCg
from harness.inner.spec import inner_solver

__all__ = [
    "Adam",
    "DifferentiableSolver",
    "GradientDescent",
    "HeavyBall",
    "InnerSolution",
    "InnerSolver",
    "Lbfgs",
    "Nesterov",
    "NewtonCg",
    "State",
    "inner_solver",
]
