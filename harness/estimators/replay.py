"""Exact backprop through the inner loop in the memory of a few of its steps."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.attention import math_attention
from harness.checks import is_count
from harness.errors import BadInput
from harness.estimators.base import Diagnostics, Estimate, Estimator
from harness.inner import DifferentiableSolver, State
from harness.objective import THROUGH_STEPS, Objective
from harness.phases import phase


@dataclass(frozen=True)
class MamlReplay(Estimator):
    """Backprop through all K steps, each rebuilt from its stored state when the walk back reaches it.

    The same gradient as ``maml``. Costs K gradients more, 2K + 1, and K products; memory holds the K solver states and
    the activations of one step, O(K · |φ| + activations): mixed-mode differentiation (MixFlow-MG, arXiv 2505.00793),
    reversible learning (Maclaurin, Duvenaud & Adams 2015) with the states stored instead of inverted.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.differentiable_solver()

    def segment_steps(self) -> int:
        """Steps rebuilt at once."""
        return 1

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        """Walk forward storing a state a segment, then back rebuilding one segment at a time."""
        solver, length = self.differentiable_solver().bind(objective, lr), self.segment_steps()
        start, stored, taken = solver.initial(objective.theta), list[State](), 0
        with phase("inner"), torch.no_grad():
            state = start
            for each in solver.walk(start, objective.gradient, self.steps, lr, self.tol):
                if taken % length == 0:
                    stored.append(state)
                state, taken = each, taken + 1
        phi, rest = state[0], taken - length * max(0, len(stored) - 1)
        with phase("query"):
            loss, cotangent = objective.query_gradient(phi)
        with phase("backward"):
            cotangents = (cotangent, *(torch.zeros_like(part) for part in state[1:]))
            del start, state
            grad = torch.zeros_like(phi)
            while stored:
                cotangents, from_theta = _pull_back(solver, objective, stored.pop(), cotangents, rest, lr)
                grad += from_theta
                rest = length
            grad += cotangents[0]
        return Estimate(grad, loss, Diagnostics(objective, phi, lr, taken))


@dataclass(frozen=True)
class MamlCheckpoint(MamlReplay):
    """Backprop through all K steps with only some states stored and whole segments rebuilt (Chen et al. 2016).

    The same gradient as ``maml``, for 2K + 1 gradients and K products. With segments of √K steps memory holds √K
    states and √K steps' activations: for networks whose state outweighs their activations. Segments of one step are
    ``maml-replay``.

    Args:
        segment: Steps rebuilt at once, or ``"sqrt"`` for ⌈√K⌉.
    """

    segment: int | Literal["sqrt"] = "sqrt"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segment != "sqrt" and not is_count(self.segment):
            raise BadInput(f"segment: {self.segment!r} is neither a positive whole number nor 'sqrt'")

    def segment_steps(self) -> int:
        """⌈√K⌉, or what was asked for."""
        return self._segment_steps(self.steps)

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """Segments, the steps of the longest, and whether it is the only one, which begins at θ itself.

        Whether the last is a whole one may change the peak by a vector or two, which is left out.
        """
        length = min(steps, self._segment_steps(steps))
        return -(-steps // length), length, int(length == steps)

    def _segment_steps(self, steps: int) -> int:
        return math.isqrt(steps - 1) + 1 if self.segment == "sqrt" else self.segment


def _pull_back(
    solver: DifferentiableSolver, objective: Objective, state: State, cotangents: State, steps: int, lr: float
) -> tuple[State, Tensor]:
    """Vector-Jacobian product of ``steps`` steps with respect to the state before them and θ."""
    with torch.enable_grad(), math_attention():
        before = tuple(part.detach().requires_grad_() for part in state)
        theta = objective.theta.clone().requires_grad_()
        after, taken = solver.advance(before, lambda phi: objective.gradient(phi, theta, create_graph=True), steps, lr)
        objective.counts.hvps += taken * objective.tasks
        *pulled, from_theta = objective.differentiate(
            after, (*before, theta), THROUGH_STEPS, cotangents, allow_unused=True, materialize_grads=True
        )
    return tuple(pulled), from_theta
