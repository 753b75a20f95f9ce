"""Backprop through the inner loop, step by step, to be stopped on the way."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention import math_attention
from harness.inner import DifferentiableSolver
from harness.objective import Objective


@dataclass(frozen=True)
class Back:
    """Where the walk back is after some steps."""

    steps: int
    """h, the last steps differentiated so far."""
    cotangent: Tensor
    """dL/dφ_{K−h}, θ in the proximal term taken for a constant."""
    from_theta: Tensor
    """What the θ of the proximal term gives in these steps."""


def walk_back(solver: DifferentiableSolver, objective: Objective, steps: int, lr: float, tol: float) -> Iterator[Back]:
    """Every h from 0 to K; at h = K the sum of the two parts is the meta-gradient."""
    solver = solver.bind(objective, lr)
    with torch.no_grad():
        states = [solver.initial(objective.theta)]
        states += solver.walk(states[0], objective.gradient, steps, lr, tol)
    phi, *others = states.pop()
    cotangents = (objective.query_gradient(phi)[1], *map(torch.zeros_like, others))
    from_theta = torch.zeros_like(phi)
    yield Back(0, cotangents[0], from_theta)
    for h, state in enumerate(reversed(states), start=1):
        with torch.enable_grad(), math_attention():
            before = tuple(part.detach().requires_grad_() for part in state)
            theta = objective.theta.clone().requires_grad_()
            slope = objective.gradient(solver.point(before), theta, create_graph=True)
            *cotangents, pulled = torch.autograd.grad(
                solver.update(before, slope, lr),
                (*before, theta),
                cotangents,
                allow_unused=True,
                materialize_grads=True,
            )
        from_theta = from_theta + pulled
        yield Back(h, cotangents[0], from_theta)
