"""The contract of the inner solvers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from harness.objective import Objective
from harness.phases import phase

State: TypeAlias = tuple[Tensor, ...]
"""What a solver carries from step to step: φ first, then its own (momentum, …), each of shape (..., n), or (..., 1)
for one number a task. All are floating point, so that each has a cotangent."""


@dataclass(frozen=True)
class InnerSolution:
    """Where an inner solver ended."""

    phi: Tensor
    """φ_K, shape (..., n), without a graph."""
    steps: int
    """Steps taken: K, or fewer where the tolerance was met first."""


class InnerSolver(ABC):
    """Minimises G(φ) from φ = θ."""

    @abstractmethod
    def solve(self, objective: Objective, steps: int, lr: float, tol: float = 0.0) -> InnerSolution:
        """Take ``steps`` steps of size ``lr``, in the memory of one.

        Args:
            objective: G.
            steps: K, the most steps.
            lr: α, the step size.
            tol: Stop once ‖∇G‖ ≤ tol ‖∇G(θ)‖ (in a meta-batch, for every task) where the step takes its gradient;
                0 takes all steps, and a differentiable solver then never waits for the device.

        Raises:
            BadInput: A parameter left to the solver cannot be had from this objective.
        """

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """What the solver's peak memory at K = ``steps`` is affine in, from K = 3 on: K, unless it says otherwise."""
        return (steps,)


class DifferentiableSolver(InnerSolver):
    """A solver that takes one gradient a step: a pure function of its state and that gradient.

    Being pure and made of differentiable operations is what lets an estimator unroll or replay it. An estimator that
    does so calls :meth:`bind` first, and the other methods on what it returns.
    """

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """None: :meth:`solve` keeps one state and the next, whatever K. K for a solver with a ``solve`` of its own."""
        return () if type(self).solve is DifferentiableSolver.solve else super().memory_variables(steps)

    def bind(self, objective: Objective, lr: float) -> "DifferentiableSolver":
        """This solver with the parameters it was to choose itself ("auto") settled for G and α.

        Raises:
            BadInput: One of them cannot be had from this objective.
        """
        del objective, lr
        return self

    @abstractmethod
    def initial(self, phi: Tensor) -> State:
        """The state before the first step, at φ = ``phi``."""

    @abstractmethod
    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """The state after one step along ``gradient`` = ∇G at :meth:`point`, with step size ``lr``."""

    def point(self, state: State) -> Tensor:
        """Where the next gradient is taken: φ, unless the solver looks ahead."""
        return state[0]

    def walk(
        self, start: State, gradient: Callable[[Tensor], Tensor], steps: int, lr: float, tol: float = 0.0
    ) -> Iterator[State]:
        """The states after each step from ``start``."""
        state, stop = start, Stop(tol)
        for _ in range(steps):
            with phase("step"):
                slope = gradient(self.point(state))
                if stop.at(slope):
                    return
                state = self.update(state, slope, lr)
                del slope  # or it would be held while the next one is computed
            yield state

    def advance(
        self, start: State, gradient: Callable[[Tensor], Tensor], steps: int, lr: float, tol: float = 0.0
    ) -> tuple[State, int]:
        """The state where :meth:`walk` ends, and the steps taken."""
        state, taken = start, 0
        for each in self.walk(start, gradient, steps, lr, tol):
            state, taken = each, taken + 1
        return state, taken

    def solve(self, objective: Objective, steps: int, lr: float, tol: float = 0.0) -> InnerSolution:
        """Walk, keeping the last state alone."""
        solver = self.bind(objective, lr)
        with torch.no_grad():
            state, taken = solver.advance(solver.initial(objective.theta), objective.gradient, steps, lr, tol)
        return InnerSolution(state[0], taken)


@dataclass
class Stop:
    """Whether ‖∇G‖ has come down, for every task, to ``tol`` times the first it was shown.

    With ``tol`` 0 it has not, and nothing waits for the device.
    """

    tol: float
    threshold: Tensor | None = field(default=None, init=False)

    def at(self, gradient: Tensor) -> bool:
        """Whether to stop where the gradient is this."""
        if self.tol <= 0.0:
            return False
        norms = gradient.detach().norm(dim=-1)
        if self.threshold is None:
            self.threshold = self.tol * norms
        return bool((norms <= self.threshold).all())
