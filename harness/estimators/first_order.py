"""Estimators that use no second derivative."""

from dataclasses import dataclass
from typing import ClassVar

from harness.estimators.base import Diagnostics, Estimate, Estimator
from harness.objective import Objective
from harness.phases import phase


@dataclass(frozen=True)
class Fomaml(Estimator):
    """∇L(φ_K), as if dφ_K/dθ were the identity (Finn, Abbeel & Levine 2017, section 5.2).

    Costs K + 1 gradients; memory of one. Biased: its error does not vanish with K.
    """

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """Those of the inner solver."""
        return self.solver.memory_variables(steps)

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        """Descend, then the query gradient."""
        solution = self.descend(objective, lr)
        with phase("query"):
            loss, gradient = objective.query_gradient(solution.phi)
        return Estimate(gradient, loss, Diagnostics(objective, solution.phi, lr, solution.steps))


@dataclass(frozen=True)
class Reptile(Estimator):
    """θ − φ_K (Nichol, Achiam & Schulman 2018): a direction to move θ in, whose length is not that of a gradient.

    Costs K gradients; memory of one. It does not look at the query set (whose loss is evaluated to be reported, not
    differentiated); compare it by cosine alone.
    """

    direction_only: ClassVar[bool] = True

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """Those of the inner solver."""
        return self.solver.memory_variables(steps)

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        """Descend, then the way back."""
        solution = self.descend(objective, lr)
        with phase("query"):
            loss = objective.outer_loss(solution.phi).detach()
        way = objective.theta - solution.phi
        return Estimate(way, loss, Diagnostics(objective, solution.phi, lr, solution.steps))
