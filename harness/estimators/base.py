"""The contract of the estimators, and what they share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from harness.bilevel import Problem, Task
from harness.checks import is_positive, require_count, require_not_negative
from harness.errors import BadInput, unknown
from harness.inner import DifferentiableSolver, InnerSolution, InnerSolver
from harness.inner.spec import inner_solver
from harness.linear_solvers import LinearSolution, largest_eigenvalue
from harness.objective import Counts, Objective
from harness.phases import phase
from harness.pytree import Params

BATCHINGS = ("loop", "vmap")


@dataclass(frozen=True)
class Diagnostics:
    """How an estimate came about. What costs something to know is computed when it is read."""

    objective: Objective = field(repr=False)
    phi: Tensor = field(repr=False)
    """φ_K, shape (..., n)."""
    lr: float
    """The step size used."""
    steps: int
    """Inner steps taken: K, or fewer where the tolerance was met first."""
    linear: LinearSolution | None = field(default=None, repr=False)
    """The linear solver's solution, for an implicit estimator."""

    @property
    def counts(self) -> Counts:
        """Gradients and Hessian-vector products evaluated."""
        return self.objective.counts

    @property
    def inner_residual(self) -> float:
        """‖∇G(φ_K)‖ / ‖∇G(θ)‖, the largest of a meta-batch. Costs two gradients when read."""
        return float(self.objective.residual(self.phi).max())

    @property
    def linear_residual(self) -> float | None:
        """‖b − Bx‖ / ‖b‖ of the linear solve, by its own recurrence; ``None`` where there was none."""
        return None if self.linear is None else float(self.linear.residuals[-1].max())

    @property
    def negative_curvature(self) -> bool | None:
        """Whether the linear solver met negative curvature; ``None`` where there was no linear solve."""
        return None if self.linear is None else bool(self.linear.negative_curvature.any())


@dataclass(frozen=True)
class Estimate:
    """What a rule computes, over flat vectors."""

    grad: Tensor
    """The meta-gradient of each task, shape (..., n)."""
    query_loss: Tensor
    """L(φ_K), shape (...), detached."""
    diagnostics: Diagnostics


@dataclass(frozen=True)
class MetaGradient:
    """An estimate of d/dθ L(φ(θ)) for one task."""

    grad: Params
    query_loss: Tensor
    """L(φ_K), a detached scalar."""
    diagnostics: Diagnostics


@dataclass(frozen=True)
class BatchMetaGradient:
    """Mean meta-gradient and query loss of several tasks, and the work of all."""

    grad: Params
    query_loss: Tensor
    counts: Counts


@dataclass(frozen=True)
class Estimator(ABC):
    """A meta-gradient estimator: K steps of an inner solver on G(φ) = L̂(φ) + (λ/2)‖φ − θ‖² from φ = θ, then a rule.

    Args:
        steps: K, inner steps.
        lr: α, inner step size; ``"auto"`` takes 1/(λ_max + λ), with λ_max the largest eigenvalue of ∇²L̂(θ) by Lanczos.
        lam: λ, proximal strength: a number, or a tensor or number for each parameter by name. 0 leaves the proximal
            term out.
        inner: The inner solver: its name, or a call with its parameters, as in ``"nesterov(momentum=0.8)"``.
        tol: Stop the inner loop once ‖∇G(φ)‖ ≤ tol ‖∇G(θ)‖; 0 takes all K steps.
        batching: How :meth:`meta_gradients` takes several tasks. ``loop``: one by one, backward once a task, in the
            memory of one task. ``vmap``: side by side, backward once a meta-batch, in the memory of all.

    Raises:
        BadInput: A parameter out of its range.
    """

    steps: int
    lr: float | Literal["auto"] = 0.01
    lam: float | Params = 0.0
    inner: str = "gd"
    tol: float = 0.0
    batching: str = "loop"
    solver: InnerSolver = field(init=False, repr=False, compare=False)

    direction_only: ClassVar[bool] = False
    """Whether only the estimate's direction means anything, not its length."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        if self.lr != "auto" and not is_positive(self.lr):
            raise BadInput(f"lr: {self.lr!r} is neither a positive number nor 'auto'")
        if not isinstance(self.lam, dict) and not is_positive(self.lam) and self.lam != 0:
            raise BadInput(f"lam: {self.lam!r} is not a number >= 0")
        require_not_negative("tol", self.tol)
        if self.batching not in BATCHINGS:
            raise unknown("batching", self.batching, BATCHINGS)
        object.__setattr__(self, "solver", inner_solver(self.inner))

    def meta_gradient(self, problem: Problem, task: Task, theta: Params) -> MetaGradient:
        """Estimate the meta-gradient of one task at ``theta``."""
        objective = Objective.of(problem, task, theta, self.lam)
        estimate = self.estimate(objective, self._step_size(objective))
        return MetaGradient(objective.layout.unravel(estimate.grad), estimate.query_loss, estimate.diagnostics)

    def meta_gradients(self, problem: Problem, tasks: Sequence[Task], theta: Params) -> BatchMetaGradient:
        """The mean over a meta-batch, as ``batching`` says.

        Raises:
            BadInput: No tasks; or, side by side, tasks of unequal shapes or ``lr="auto"``, which differs by task.
        """
        tasks = list(tasks)
        if not tasks:
            raise BadInput("a meta-batch needs at least one task")
        return (self._side_by_side if self.batching == "vmap" else self._one_by_one)(problem, tasks, theta)

    def _one_by_one(self, problem: Problem, tasks: Sequence[Task], theta: Params) -> BatchMetaGradient:
        first, *rest = tasks
        result = self.meta_gradient(problem, first, theta)
        grad, loss, counts = result.grad, result.query_loss, result.diagnostics.counts
        for task in rest:
            result = self.meta_gradient(problem, task, theta)
            grad = {name: total + result.grad[name] for name, total in grad.items()}
            loss, counts = loss + result.query_loss, counts + result.diagnostics.counts
        if rest:
            grad, loss = {name: total / len(tasks) for name, total in grad.items()}, loss / len(tasks)
        return BatchMetaGradient(grad, loss, counts)

    def _side_by_side(self, problem: Problem, tasks: Sequence[Task], theta: Params) -> BatchMetaGradient:
        if self.lr == "auto":
            raise BadInput("lr: 'auto' differs from task to task; with batching = 'vmap' give a number")
        objective = Objective.of_tasks(problem, tasks, theta, self.lam)
        estimate = self.estimate(objective, self.lr)
        grad = objective.layout.unravel(estimate.grad.mean(0))
        return BatchMetaGradient(grad, estimate.query_loss.mean(0), objective.counts)

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """What peak memory at K = ``steps`` is affine in, from K = 3 on, for the forecast of it.

        K by default, which includes memory that does not depend on it. Where K is not it, whole numbers that are; none
        where memory is the same from K = 2 on.
        """
        return (steps,)

    @abstractmethod
    def estimate(self, objective: Objective, lr: float) -> Estimate:
        """The rule, over flat vectors: of one task, shape (n,), or of several side by side, shape (tasks, n)."""

    def descend(self, objective: Objective, lr: float) -> InnerSolution:
        """φ_K: the inner loop without a graph, in the memory of one gradient."""
        with phase("inner"):
            return self.solver.solve(objective, self.steps, lr, self.tol)

    def differentiable_solver(self) -> DifferentiableSolver:
        """The inner solver, for a rule that differentiates its steps.

        Raises:
            BadInput: Its steps cannot be differentiated.
        """
        if not isinstance(self.solver, DifferentiableSolver):
            raise BadInput(f"inner: '{self.inner}' cannot be differentiated step by step; use an implicit estimator")
        return self.solver

    def _step_size(self, objective: Objective) -> float:
        if self.lr != "auto":
            return self.lr
        uncounted = objective.uncounted()
        with phase("step size"):
            largest = largest_eigenvalue(uncounted.curvature(objective.theta), objective.theta)
        objective.counts.step_size_hvps += uncounted.counts.hvps
        if largest <= 0.0:
            raise BadInput("lr: 'auto' needs a support loss with positive curvature at theta; give a number")
        return 1.0 / largest
