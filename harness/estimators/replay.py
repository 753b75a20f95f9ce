"""Exact backprop through the inner loop in the memory of one step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.estimators.base import Diagnostics, Estimator
from harness.inner import State
from harness.objective import Objective
from harness.phases import phase


@dataclass(frozen=True)
class MamlReplay(Estimator):
    """Backprop through all K steps, each rebuilt from its stored state when the walk back reaches it.

    The same gradient as ``maml``. Costs K gradients more; memory holds the K solver states and the activations of one
    step, O(K · |φ| + activations): mixed-mode differentiation (MixFlow-MG, arXiv 2505.00793), reversible learning
    (Maclaurin, Duvenaud & Adams 2015) with the states stored instead of inverted.
    """

    def estimate(self, objective: Objective, lr: float) -> tuple[Tensor, Tensor, Diagnostics]:
        """Walk forward storing states, then back rebuilding one step at a time."""
        with phase("inner"):
            states = [self.solver.initial(objective.theta)]
            for _ in range(self.steps):
                states.append(self.solver.update(states[-1], objective.gradient(states[-1][0]), lr))
        phi = states.pop()[0]
        with phase("query"):
            loss, gradient = objective.query_gradient(phi)
        with phase("backward"):
            cotangents = (gradient, *(torch.zeros_like(s) for s in states[0][1:]))
            grad = torch.zeros_like(phi)
            while states:
                cotangents, from_theta = self._pull_back(objective, states.pop(), cotangents, lr)
                grad += from_theta
            grad += cotangents[0]
        return grad, loss, Diagnostics(objective, phi, lr)

    def _pull_back(self, objective: Objective, state: State, cotangents: State, lr: float) -> tuple[State, Tensor]:
        """Vector-Jacobian product of one step with respect to the state before it and θ."""
        with torch.enable_grad():
            before = tuple(s.detach().requires_grad_() for s in state)
            theta = objective.theta.clone().requires_grad_()
            after = self.solver.update(before, objective.gradient(before[0], theta, create_graph=True), lr)
            objective.counts.hvps += 1
            *pulled, from_theta = torch.autograd.grad(
                after, (*before, theta), cotangents, allow_unused=True, materialize_grads=True
            )
        return tuple(pulled), from_theta
