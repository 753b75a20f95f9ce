"""The contract of the estimators, and what they share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from harness.bilevel import Problem, Task
from harness.errors import BadInput
from harness.inner import InnerSolver
from harness.linear_solvers import LinearSolution, largest_eigenvalue
from harness.objective import Counts, Objective
from harness.phases import phase
from harness.pytree import Params
from harness.registry import INNER_SOLVERS


@dataclass(frozen=True)
class Diagnostics:
    """How an estimate came about. What costs something to know is computed when it is read."""

    objective: Objective = field(repr=False)
    phi: Tensor = field(repr=False)
    """φ_K, shape (n,)."""
    lr: float
    """The step size used."""
    linear: LinearSolution | None = field(default=None, repr=False)
    """The linear solver's solution, for an implicit estimator."""

    @property
    def counts(self) -> Counts:
        """Gradients and Hessian-vector products evaluated."""
        return self.objective.counts

    @property
    def inner_residual(self) -> float:
        """‖∇G(φ_K)‖ / ‖∇G(θ)‖. Costs two gradients when read."""
        return self.objective.residual(self.phi)

    @property
    def linear_residual(self) -> float | None:
        """‖b − Bx‖ / ‖b‖ of the linear solve, by its own recurrence; ``None`` where there was none."""
        return None if self.linear is None else float(self.linear.residuals[-1])

    @property
    def negative_curvature(self) -> bool | None:
        """Whether the linear solver met negative curvature; ``None`` where there was no linear solve."""
        return None if self.linear is None else bool(self.linear.negative_curvature)


@dataclass(frozen=True)
class MetaGradient:
    """An estimate of d/dθ L(φ(θ)) for one task."""

    grad: Params
    query_loss: Tensor
    """L(φ_K), a detached scalar."""
    diagnostics: Diagnostics


@dataclass(frozen=True)
class BatchMetaGradient:
    """Meta-gradient, query loss and work of several tasks."""

    grad: Params
    query_loss: Tensor
    counts: Counts

    def plus(self, result: MetaGradient) -> "BatchMetaGradient":
        """The sum with one more task."""
        grad = {name: total + result.grad[name] for name, total in self.grad.items()}
        return BatchMetaGradient(grad, self.query_loss + result.query_loss, self.counts + result.diagnostics.counts)

    def over(self, tasks: int) -> "BatchMetaGradient":
        """The mean of a sum over ``tasks``; the work stays the sum."""
        if tasks == 1:
            return self
        return BatchMetaGradient(
            {name: total / tasks for name, total in self.grad.items()}, self.query_loss / tasks, self.counts
        )


@dataclass(frozen=True)
class Estimator(ABC):
    """A meta-gradient estimator: K steps of an inner solver on G(φ) = L̂(φ) + (λ/2)‖φ − θ‖² from φ = θ, then a rule.

    Args:
        steps: K, inner steps.
        lr: α, inner step size; ``"auto"`` takes 1/(λ_max + λ), with λ_max the largest eigenvalue of ∇²L̂(θ) by Lanczos.
        lam: λ, proximal strength; 0 leaves the proximal term out.
        inner: Name of the inner solver.

    Raises:
        BadInput: A parameter out of its range.
    """

    steps: int
    lr: float | Literal["auto"] = 0.01
    lam: float = 0.0
    inner: str = "gd"
    solver: InnerSolver = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps <= 0:
            raise BadInput(f"steps: {self.steps!r} is not a positive whole number")
        if self.lr != "auto" and not is_positive(self.lr):
            raise BadInput(f"lr: {self.lr!r} is neither a positive number nor 'auto'")
        if not is_positive(self.lam) and self.lam != 0:
            raise BadInput(f"lam: {self.lam!r} is not a number >= 0")
        object.__setattr__(self, "solver", INNER_SOLVERS.create(self.inner))

    def meta_gradient(self, problem: Problem, task: Task, theta: Params) -> MetaGradient:
        """Estimate the meta-gradient of one task at ``theta``."""
        objective = Objective.of(problem, task, theta, self.lam)
        lr = self._step_size(objective)
        flat, query_loss, diagnostics = self.estimate(objective, lr)
        return MetaGradient(objective.layout.unravel(flat), query_loss, diagnostics)

    def meta_gradients(self, problem: Problem, tasks: Sequence[Task], theta: Params) -> BatchMetaGradient:
        """Mean over a meta-batch, task by task: backward runs once a task, and memory is that of one task.

        Raises:
            BadInput: No tasks.
        """
        if not tasks:
            raise BadInput("a meta-batch needs at least one task")
        first, *rest = tasks
        result = self.meta_gradient(problem, first, theta)
        batch = BatchMetaGradient(result.grad, result.query_loss, result.diagnostics.counts)
        for task in rest:
            batch = batch.plus(self.meta_gradient(problem, task, theta))
        return batch.over(len(tasks))

    @abstractmethod
    def estimate(self, objective: Objective, lr: float) -> tuple[Tensor, Tensor, Diagnostics]:
        """The rule: flat meta-gradient (n,), query loss (detached scalar) and diagnostics."""

    def _step_size(self, objective: Objective) -> float:
        if self.lr != "auto":
            return self.lr
        with phase("step size"):
            counts, objective.counts = objective.counts, Counts()
            largest = largest_eigenvalue(objective.hessian(objective.theta), objective.theta)
            counts.step_size_hvps, objective.counts = objective.counts.hvps, counts
        if largest + self.lam <= 0.0:
            raise BadInput("lr: 'auto' needs a support loss with positive curvature at theta; give a number")
        return 1.0 / (largest + self.lam)


def is_positive(value: object) -> bool:
    """Whether ``value`` is a finite number above 0 (and not a boolean)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def descend(solver: InnerSolver, objective: Objective, steps: int, lr: float) -> Tensor:
    """φ_K: the inner loop without a graph, in the memory of one gradient."""
    with phase("inner"):
        state = solver.initial(objective.theta)
        for _ in range(steps):
            state = solver.update(state, objective.gradient(state[0]), lr)
    return state[0]
