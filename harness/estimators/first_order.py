"""Estimators that use no second derivative."""

from dataclasses import dataclass

from torch import Tensor

from harness.estimators.base import Diagnostics, Estimator, descend
from harness.objective import Objective
from harness.phases import phase


@dataclass(frozen=True)
class Fomaml(Estimator):
    """∇L(φ_K), as if dφ_K/dθ were the identity (Finn, Abbeel & Levine 2017, section 5.2).

    Costs K + 1 gradients; memory of one. Biased: its error does not vanish with K.
    """

    def estimate(self, objective: Objective, lr: float) -> tuple[Tensor, Tensor, Diagnostics]:
        """Descend, then the query gradient."""
        phi = descend(self.solver, objective, self.steps, lr)
        with phase("query"):
            loss, gradient = objective.query_gradient(phi)
        return gradient, loss, Diagnostics(objective, phi, lr)
