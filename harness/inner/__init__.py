"""Solvers of the inner problem min over φ of L̂(φ) + (λ/2)‖φ − θ‖², one a file."""

from harness.inner.base import InnerSolver, State
from harness.inner.gradient_descent import GradientDescent

__all__ = ["GradientDescent", "InnerSolver", "State"]
