"""Implicit differentiation at the end of the inner loop."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from harness.errors import BadInput
from harness.estimators.base import Diagnostics, Estimator, descend, is_positive
from harness.linear_solvers import ConjugateGradient, LinearSolver
from harness.objective import Objective
from harness.phases import phase


@dataclass(frozen=True)
class Implicit(Estimator):
    """Solve (I + H/λ) x = ∇L(φ_K) with H = ∇²L̂(φ_K) (paper, Lemma 1 and Algorithm 2).

    Exact as φ_K reaches the minimiser of G and the linear solve converges; it needs I + H/λ positive definite. Memory
    holds the activations of one gradient, whatever K.

    Raises:
        BadInput: λ is not above 0: without a proximal term the minimiser does not depend on θ.
    """

    lam: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_positive(self.lam):
            raise BadInput(f"lam: {self.lam!r} is not above 0, as an implicit estimator needs")

    @abstractmethod
    def linear_solver(self) -> LinearSolver:
        """The solver of (I + H/λ) x = b."""

    def estimate(self, objective: Objective, lr: float) -> tuple[Tensor, Tensor, Diagnostics]:
        """Descend, take the query gradient, solve."""
        phi = descend(self.solver, objective, self.steps, lr)
        with phase("query"):
            loss, gradient = objective.query_gradient(phi)
        with phase("linear"):
            hessian = objective.hessian(phi)
            solution = self.linear_solver().solve(lambda v: v.add(hessian(v), alpha=1.0 / self.lam), gradient)
        return solution.x, loss, Diagnostics(objective, phi, lr, solution)


@dataclass(frozen=True)
class ImamlCg(Implicit):
    """Implicit MAML with conjugate gradients (paper, Algorithm 2).

    Costs K + 2 gradients and one Hessian-vector product a CG step.

    Args:
        cg_steps: Most CG iterations.
        cg_tol: Stop CG once its relative residual is this small; 0 runs all ``cg_steps``.
    """

    cg_steps: int = 5
    cg_tol: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.cg_steps) is not int or self.cg_steps <= 0:
            raise BadInput(f"cg_steps: {self.cg_steps!r} is not a positive whole number")
        if not is_positive(self.cg_tol) and self.cg_tol != 0:
            raise BadInput(f"cg_tol: {self.cg_tol!r} is not a number >= 0")

    def linear_solver(self) -> LinearSolver:
        """Conjugate gradients from x = 0."""
        return ConjugateGradient(self.cg_steps, self.cg_tol)
