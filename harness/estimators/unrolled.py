"""Backprop through the inner loop with its graph retained."""

from dataclasses import dataclass

import torch

from harness.attention import math_attention
from harness.checks import require_count
from harness.errors import BadInput
from harness.estimators.base import Diagnostics, Estimate, Estimator
from harness.objective import THROUGH_STEPS, Objective
from harness.phases import phase


@dataclass(frozen=True)
class Maml(Estimator):
    """Backprop through all K steps (Finn, Abbeel & Levine 2017, with the proximal term of the paper's inner problem).

    (dφ_K/dθ)ᵀ ∇L(φ_K): exact for the K-step solution. Costs K + 1 gradients and K products with a step's Jacobian;
    memory holds the activations of every step, O(K · activations). As an estimate of the gradient at the exact inner
    solution it is off by what the inner loop has not converged.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.differentiable_solver()

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        """Unroll, then one backward pass."""
        return self._unroll(objective, lr, ahead=0)

    def _unroll(self, objective: Objective, lr: float, ahead: int) -> Estimate:
        """Take ``ahead`` steps without a graph and the rest with one, then go back through the rest."""
        solver, before = self.differentiable_solver().bind(objective, lr), 0
        theta = objective.theta.clone().requires_grad_()
        with phase("inner"):
            start = solver.initial(theta)
            if ahead:
                with torch.no_grad():
                    start, before = solver.advance(start, objective.gradient, ahead, lr, self.tol)
                start = tuple(part.detach().requires_grad_() for part in start)
            with torch.enable_grad():
                state, taken = solver.advance(
                    start,
                    lambda phi: objective.gradient(phi, theta, create_graph=True),
                    self.steps - ahead,
                    lr,
                    self.tol,
                )
        objective.counts.hvps += taken * objective.tasks
        with torch.enable_grad(), math_attention():
            with phase("query"):
                loss = objective.outer_loss(state[0])
            with phase("backward"):
                (grad,) = objective.differentiate(
                    loss.sum(), theta, THROUGH_STEPS, allow_unused=True, materialize_grads=True
                )
        objective.counts.gradients += objective.tasks
        return Estimate(grad, loss.detach(), Diagnostics(objective, state[0].detach(), lr, before + taken))


@dataclass(frozen=True)
class MamlTruncated(Maml):
    """Backprop through the last ``last`` steps alone (Shaban, Cheng, Hatch & Boots 2019).

    φ_{K−h} is taken for a constant, so for gradient descent on a quadratic the answer is (I − Mʰ) of the gradient
    that the implicit method would give at φ_K, M = I − α(H + λ): a Neumann series of h terms. Costs K + 1 gradients
    and h products; memory holds h steps' activations. Without a proximal term θ enters through φ_0 alone, and the
    answer is 0 for h < K: that is refused.

    Args:
        last: h, steps differentiated; all of them where K is smaller.
    """

    last: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("last", self.last)
        if self.last < self.steps and not isinstance(self.lam, dict) and self.lam == 0:
            raise BadInput("lam: 0 makes the truncated gradient 0, for theta then enters by the first step alone")

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """Steps differentiated, and whether others come before them."""
        return min(steps, self.last), int(steps > self.last)

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        """Walk without a graph, then unroll the rest."""
        return self._unroll(objective, lr, ahead=max(0, self.steps - self.last))
