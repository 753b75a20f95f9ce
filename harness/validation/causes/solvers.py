"""Inner solvers a function may run where another was told."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from harness.inner import DifferentiableSolver, InnerSolver, State
from harness.inner.adam import Adam
from harness.inner.gradient_descent import GradientDescent
from harness.inner.heavy_ball import HeavyBall
from harness.inner.nesterov import Nesterov
from harness.objective import Objective
from harness.validation.case import Case

MOMENTA = (0.9, 0.5, 0.8, 0.95, 0.99)
"""β that are usual."""


@dataclass(frozen=True)
class PlainNesterov(DifferentiableSolver):
    """v ← βv + ∇G(φ); φ ← φ − α(∇G(φ) + βv), as in ``torch.optim.SGD``: its φ is the point Nesterov looks ahead to."""

    momentum: float

    def initial(self, phi: Tensor) -> State:
        """φ, and no velocity."""
        return phi, torch.zeros_like(phi)

    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """One step."""
        phi, velocity = state
        velocity = self.momentum * velocity + gradient
        return phi - lr * (gradient + self.momentum * velocity), velocity


@dataclass(frozen=True)
class Frozen(DifferentiableSolver):
    """A solver that leaves some entries of φ where they are."""

    solver: DifferentiableSolver
    moves: Tensor
    """1 where it does not."""

    def bind(self, objective: Objective, lr: float) -> Self:
        """With the solver bound."""
        return replace(self, solver=self.solver.bind(objective, lr))

    def initial(self, phi: Tensor) -> State:
        """The solver's."""
        return self.solver.initial(phi)

    def point(self, state: State) -> Tensor:
        """The solver's."""
        return self.solver.point(state)

    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """One step."""
        return self.solver.update(state, gradient * self.moves, lr)


FAMILIES = {
    "heavy-ball momentum": HeavyBall,
    "Nesterov's momentum": Nesterov,
    "Nesterov's momentum as torch.optim.SGD has it": PlainNesterov,
}


def others(case: Case) -> Iterator[tuple[InnerSolver, str]]:
    """The usual ones that are not the one told, with their names in words."""
    told = case.loop.solver
    momenta = dict.fromkeys((*_momentum(told), *MOMENTA))
    candidates: list[tuple[InnerSolver, str]] = [(GradientDescent(), "plain gradient descent, without momentum")]
    candidates += [(family(beta), f"{words} {beta:g}") for beta in momenta for words, family in FAMILIES.items()]
    candidates.append((Adam(), "Adam"))
    yield from ((solver, words) for solver, words in candidates if solver != told)


def _momentum(solver: InnerSolver) -> tuple[float, ...]:
    momentum = getattr(solver, "momentum", None)
    return (momentum,) if isinstance(momentum, float) else ()
