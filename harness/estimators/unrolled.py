"""Exact backprop through the inner loop with its graph retained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.estimators.base import Diagnostics, Estimator
from harness.objective import Objective
from harness.phases import phase


@dataclass(frozen=True)
class Maml(Estimator):
    """Backprop through all K steps (Finn, Abbeel & Levine 2017, with the proximal term of the paper's inner problem).

    Exact for the K-step solution. Costs K gradients, one query gradient and K products with a step's Jacobian; memory
    holds the activations of every step, O(K · activations).
    """

    def estimate(self, objective: Objective, lr: float) -> tuple[Tensor, Tensor, Diagnostics]:
        """Unroll, then one backward pass."""
        with torch.enable_grad():
            theta = objective.theta.clone().requires_grad_()
            with phase("inner"):
                state = self.solver.initial(theta)
                for _ in range(self.steps):
                    state = self.solver.update(state, objective.gradient(state[0], theta, create_graph=True), lr)
            with phase("query"):
                loss = objective.query_loss(state[0])
            with phase("backward"):
                (grad,) = torch.autograd.grad(loss, theta)
        objective.counts.gradients += 1
        objective.counts.hvps += self.steps
        return grad, loss.detach(), Diagnostics(objective, state[0].detach(), lr)
