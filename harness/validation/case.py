"""One failed draw, and what other methods would have computed on it: what the hypotheses are made of.

All vectors are flat, of shape (n,), and in float64.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from harness.bilevel import ClosedForm, Problem, Task
from harness.cell import Reference
from harness.errors import BadInput
from harness.estimators import Estimator
from harness.inner import DifferentiableSolver, InnerSolver
from harness.objective import Objective
from harness.pytree import Params
from harness.references import inner_minimiser
from harness.validation.system import System
from harness.validation.walk import Back, walk_back


@dataclass(frozen=True)
class Point:
    """A φ at which a function may have differentiated."""

    where: str
    """In words that follow a sentence, as in " at φ_K"."""
    phi: Callable[["Case"], Tensor] = field(compare=False)


@dataclass(frozen=True)
class Case:
    """A draw with what the function returned and the reference it misses."""

    vs: Reference
    problem: Problem
    task: Task
    theta: Params
    loop: Estimator
    """Carries K, λ and the inner solver."""
    steps: int | None
    """K, where it is known."""
    lr: float
    dtype: torch.dtype
    """What the function was asked to compute in."""
    returned: Tensor
    variation: float
    """How far a second call with the same input was from the first."""
    reference: Tensor
    systems: dict[Point, System] = field(default_factory=dict[Point, System], repr=False, compare=False)
    """Those made so far: each holds a gradient's graph."""

    @cached_property
    def objective(self) -> Objective:
        """G."""
        return Objective.of(self.problem, self.task, self.theta, self.loop.lam)

    @property
    def regularised(self) -> bool:
        """Whether λ is above 0 for every parameter."""
        lam = self.objective.lam
        return bool((lam > 0).all()) if isinstance(lam, Tensor) else lam > 0

    @property
    def unrolls(self) -> bool:
        """Whether K is known and the inner solver's steps can be differentiated."""
        return self.steps is not None and isinstance(self.loop.solver, DifferentiableSolver)

    @property
    def error(self) -> float:
        """Relative error of what was returned."""
        return self.distance(self.reference)

    def distance(self, other: Tensor, within: Tensor | None = None) -> float:
        """Relative error of what was returned if ``other`` were the reference; infinite where that is not finite.

        Args:
            other: What might be the reference.
            within: A boolean mask of the entries to look at.
        """
        returned = self.returned
        if within is not None:
            returned, other = returned[within], other[within]
        error, norm = float((returned - other).norm()), float(other.norm())
        if norm == 0:
            return 0.0 if error == 0 else float("inf")
        return error / norm if error < float("inf") else float("inf")

    @cached_property
    def minimiser(self) -> Tensor:
        """φ*."""
        return inner_minimiser(self.objective, self.last if self.steps else None)

    @cached_property
    def last(self) -> Tensor:
        """φ_K."""
        return self.descend(self.objective)

    def descend(self, objective: Objective, solver: InnerSolver | None = None, lr: float | None = None) -> Tensor:
        """φ_K of another objective, inner solver or step size."""
        return (solver or self.loop.solver).solve(objective, self.loop.steps, lr or self.lr, self.loop.tol).phi

    def query_gradient(self, phi: Tensor) -> Tensor:
        """∇L(φ)."""
        return self.objective.query_gradient(phi)[1]

    def scaled(self, multiple: float = 1.0, loss: float = 1.0) -> Objective:
        """G with λ times ``multiple`` and the inner loss times ``loss``."""
        inner = self.objective.inner_loss
        scaled = inner if loss == 1 else lambda phi: inner(phi) * loss
        return replace(self.objective, lam=self.objective.lam * multiple, inner_loss=scaled)

    def towards_zero(self) -> Objective:
        """G with (λ/2)‖φ‖² for the proximal term."""
        inner, lam = self.objective.inner_loss, self.objective.lam
        return replace(self.objective, inner_loss=lambda phi: inner(phi) + (lam * phi.square()).sum(-1) / 2, lam=0.0)

    def given(self, task: Task) -> "Case":
        """The same with other data."""
        return replace(self, task=task, systems={})

    def right(self) -> Tensor:
        """The reference, computed here."""
        return self.backprop() if self.vs == "backprop" else self.implicit()

    def without(self, *names: str) -> Tensor:
        """A vector of 1, and 0 in these parameters."""
        ones = self.objective.layout.unravel(torch.ones_like(self.objective.theta))
        return self.objective.layout.ravel({name: each * (name not in names) for name, each in ones.items()})

    def system(self, point: Point) -> System:
        """The implicit method's linear system at a φ."""
        if point not in self.systems:
            self.systems[point] = self.system_at(point.phi(self))
        return self.systems[point]

    def system_at(self, phi: Tensor, objective: Objective | None = None) -> System:
        """The same, not kept, for G or another objective."""
        objective = objective or self.objective
        return System(objective.hessian(phi), objective.lam, self.query_gradient(phi))

    def iterates(self, most: int) -> Iterator[tuple[int, Tensor]]:
        """Pairs of k and φ_k, from k = 1 on; K alone where the inner solver cannot be walked step by step."""
        solver = self.loop.solver
        if not isinstance(solver, DifferentiableSolver):
            if self.steps:
                yield self.steps, self.last
            return
        solver = solver.bind(self.objective, self.lr)
        with torch.no_grad():
            walk = solver.walk(solver.initial(self.objective.theta), self.objective.gradient, most, self.lr)
            for k, state in enumerate(walk, start=1):
                yield k, state[0]

    def implicit(self, multiple: float = 1.0) -> Tensor:
        """The exact implicit gradient for λ times ``multiple``.

        Raises:
            NoReference: There is none.
        """
        lam = self.loop.lam
        if isinstance(self.problem, ClosedForm) and not isinstance(lam, dict):
            return self.objective.layout.ravel(
                self.problem.implicit_meta_gradient(self.task, self.theta, lam * multiple)
            )
        objective = self.scaled(multiple)
        return self.system_at(inner_minimiser(objective, self.minimiser), objective).exact()

    def walk_back(
        self,
        objective: Objective | None = None,
        *,
        steps: int | None = None,
        lr: float | None = None,
        solver: InnerSolver | None = None,
    ) -> Iterator[Back]:
        """Backprop through the inner loop, with another objective, K, α or inner solver.

        Raises:
            BadInput: Its steps cannot be differentiated.
        """
        solver = solver or self.loop.solver
        if not isinstance(solver, DifferentiableSolver):
            raise BadInput("inner: its steps cannot be differentiated")
        loop = self.loop
        return walk_back(solver, objective or self.objective, steps or loop.steps, lr or self.lr, loop.tol)

    def backprop(
        self,
        objective: Objective | None = None,
        *,
        steps: int | None = None,
        lr: float | None = None,
        solver: InnerSolver | None = None,
    ) -> Tensor:
        """The gradient at the end of that walk."""
        *_, last = self.walk_back(objective, steps=steps, lr=lr, solver=solver)
        return last.cotangent + last.from_theta
