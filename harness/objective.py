"""The losses over flat parameter vectors: their gradients and Hessian-vector products, counted.

Vectors have shape (..., n): n parameters of one task, or of each task of a meta-batch.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from harness.attention import as_in_training, math_attention
from harness.bilevel import Checked, Problem, Task, require_task
from harness.errors import BadInput
from harness.losses import ONE_BY_ONE, Name, raise_named, require_attached, require_scalar, value_of
from harness.pytree import Layout, Params

Strength: TypeAlias = float | Tensor
"""λ: one number, or one for each parameter, shape (n,)."""

THROUGH_STEPS = "the gradient through the inner steps"
"""What messages call it."""


@dataclass
class Counts:
    """How often each kind of work was done; in a meta-batch, once a task."""

    gradients: int = 0
    """Gradients of the inner or outer loss."""
    hvps: int = 0
    """Hessian-vector products of the inner loss, or vector-Jacobian products of one inner step."""
    losses: int = 0
    """Inner losses evaluated without a gradient (line searches)."""
    step_size_hvps: int = 0
    """Hessian-vector products spent on choosing ``lr="auto"``."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.gradients + other.gradients,
            self.hvps + other.hvps,
            self.losses + other.losses,
            self.step_size_hvps + other.step_size_hvps,
        )


@dataclass
class Objective:
    """G(φ) = L̂(φ) + ½ Σ λ (φ − θ)² of one task or several side by side, and the outer loss L(φ)."""

    inner_loss: Callable[[Tensor], Tensor]
    """L̂ over φ, shape (..., n) → (...)."""
    outer_loss: Callable[[Tensor], Tensor]
    """L over φ, shape (..., n) → (...)."""
    layout: Layout
    theta: Tensor
    """θ, detached, shape (..., n)."""
    lam: Strength
    """λ; 0 leaves the proximal term out."""
    tasks: int = 1
    """How many tasks the leading dimension holds."""
    problem: Problem | None = None
    """Whose losses they are, for what is said where they fail."""
    counts: Counts = field(default_factory=Counts)

    @classmethod
    def of(cls, problem: Problem, task: Task, theta: Params, lam: float | Params) -> "Objective":
        """The objective of one task around ``theta``.

        Raises:
            BadInput: λ is given by parameter but not for those of ``theta``, or is negative; or the problem's check of
                itself fails.
        """
        _look_over(problem, [task], theta)
        layout = Layout.of(theta)
        return cls(
            inner_loss=lambda phi: value_of(problem, "inner_loss", layout.unravel(phi), task.support),
            outer_loss=lambda phi: value_of(problem, "outer_loss", layout.unravel(phi), task.query),
            layout=layout,
            theta=layout.ravel(theta).detach(),
            lam=strength(lam, layout, theta),
            problem=problem,
        )

    @classmethod
    def of_tasks(cls, problem: Problem, tasks: Sequence[Task], theta: Params, lam: float | Params) -> "Objective":
        """The objectives of several tasks of equal shapes side by side, by ``torch.func.vmap`` over the losses."""
        _look_over(problem, tasks, theta)
        layout = Layout.of(theta)
        support = _stack([task.support for task in tasks])
        query = _stack([task.query for task in tasks])
        return cls(
            inner_loss=_side_by_side(problem, "inner_loss", layout, support),
            outer_loss=_side_by_side(problem, "outer_loss", layout, query),
            layout=layout,
            theta=layout.ravel(theta).detach().expand(len(tasks), -1),
            lam=strength(lam, layout, theta),
            tasks=len(tasks),
            problem=problem,
        )

    @property
    def regularised(self) -> bool:
        """Whether there is a proximal term."""
        return isinstance(self.lam, Tensor) or self.lam > 0.0

    def support_gradient(self, phi: Tensor, *, create_graph: bool = False) -> Tensor:
        """∇L̂(φ). With ``create_graph``, ``phi`` must require grad and the result can be differentiated."""
        with torch.enable_grad():
            if not create_graph:
                phi = phi.detach().requires_grad_()
            self.counts.gradients += self.tasks
            with math_attention() if create_graph else nullcontext():
                loss = self.inner_loss(phi).sum()
                return self.differentiate(loss, phi, "the gradient of inner_loss", create_graph=create_graph)[0]

    def gradient(self, phi: Tensor, theta: Tensor | None = None, *, create_graph: bool = False) -> Tensor:
        """∇G(φ) = ∇L̂(φ) + λ(φ − θ). ``theta`` stands in for θ where its graph is wanted."""
        gradient = self.support_gradient(phi, create_graph=create_graph)
        if not self.regularised:
            return gradient
        offset = phi - (self.theta if theta is None else theta)
        if isinstance(self.lam, Tensor):
            return torch.addcmul(gradient, self.lam, offset)
        return gradient.add(offset, alpha=self.lam)

    def value(self, phi: Tensor) -> Tensor:
        """G(φ), shape (...), without a graph."""
        with torch.no_grad():
            self.counts.losses += self.tasks
            return self.inner_loss(phi) + ((phi - self.theta).square() * (self.lam / 2)).sum(-1)

    def query_gradient(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """L(φ), shape (...), and ∇L(φ), both detached."""
        with torch.enable_grad():
            phi = phi.detach().requires_grad_()
            loss = self.outer_loss(phi)
            self.counts.gradients += self.tasks
            return loss.detach(), self.differentiate(loss.sum(), phi, "the gradient of outer_loss")[0]

    def hessian(self, phi: Tensor) -> Callable[[Tensor], Tensor]:
        """The operator v ↦ ∇²L̂(φ) v, by double backward.

        The graph of ∇L̂(φ) is built once and lives as long as the operator: each product costs about two gradients,
        and activations of one gradient are held.
        """
        with torch.enable_grad():
            phi = phi.detach().requires_grad_()
            gradient = self.support_gradient(phi, create_graph=True)

        def product(v: Tensor) -> Tensor:
            self.counts.hvps += self.tasks
            if not gradient.requires_grad:
                return torch.zeros_like(v)  # L̂ is linear in φ
            with math_attention():
                return self.differentiate(gradient, phi, "the Hessian of inner_loss", v, retain_graph=True)[0]

        return product

    def differentiate(
        self,
        outputs: Tensor | Sequence[Tensor],
        inputs: Tensor | Sequence[Tensor],
        what: str,
        cotangents: Tensor | Sequence[Tensor] | None = None,
        **options: bool,
    ) -> tuple[Tensor, ...]:
        """``torch.autograd.grad`` through the losses.

        Args:
            outputs: What is differentiated.
            inputs: With respect to what.
            what: What messages call the result.
            cotangents: As ``grad_outputs``.
            **options: As of ``torch.autograd.grad``.

        Raises:
            BadInput: The losses are a user's, and autograd fails.
        """
        try:
            return torch.autograd.grad(outputs, inputs, cotangents, **options)
        except Exception as error:
            remedy = "" if self.theta.ndim == 1 else ONE_BY_ONE
            raise_named(error, self.problem, what, self.theta.dtype, remedy)

    def curvature(self, phi: Tensor) -> Callable[[Tensor], Tensor]:
        """The operator v ↦ ∇²G(φ) v = Hv + λv, held like :meth:`hessian`."""
        hessian = self.hessian(phi)
        return lambda v: hessian(v) + self.lam * v

    def uncounted(self) -> "Objective":
        """The same with counts of its own, for work that is not the estimator's."""
        return replace(self, counts=Counts())

    def residual(self, phi: Tensor) -> Tensor:
        """‖∇G(φ)‖ / ‖∇G(θ)‖, shape (...): how far φ is from solving the inner problem. Not counted."""
        uncounted = self.uncounted()
        start, end = uncounted.gradient(self.theta).norm(dim=-1), uncounted.gradient(phi).norm(dim=-1)
        return torch.where(start > 0, end / start, 0.0)


def strength(lam: float | Params, layout: Layout, like: Params) -> Strength:
    """λ as the algorithms take it: the number, or one for each parameter in the flat vector's order.

    Raises:
        BadInput: Names or shapes differ from the parameters', or an entry is negative.
    """
    if not isinstance(lam, dict):
        return lam
    if set(lam) != set(layout.names):
        raise BadInput(f"lam: names {sorted(lam)} are not those of theta, {sorted(layout.names)}")
    try:
        spread = {name: _entry(lam[name], like[name]) for name in layout.names}
    except RuntimeError as error:
        raise BadInput(f"lam: {error}") from error
    flat = layout.ravel(spread)
    if bool((~(flat >= 0)).any()):
        raise BadInput("lam: an entry is negative or not a number")
    return flat


def _look_over(problem: Problem, tasks: Sequence[Task], theta: Params) -> None:
    if torch.is_inference_mode_enabled():
        raise BadInput("nothing can be differentiated within torch.inference_mode(); leave it first")
    for task in tasks:
        require_task(task)
    if isinstance(problem, Checked):
        problem.check(tasks[0], theta)


def _side_by_side(problem: Problem, name: Name, layout: Layout, data: Any) -> Callable[[Tensor], Tensor]:
    """A loss of all tasks, shape (tasks, n) → (tasks,)."""

    def one(phi: Tensor, own: Any) -> Tensor:
        value = getattr(problem, name)(layout.unravel(phi), own)
        require_scalar(value, name, phi)
        return value

    together = torch.func.vmap(one)

    def loss(phi: Tensor) -> Tensor:
        try:
            with as_in_training(), math_attention():
                values = together(phi, data)
        except Exception as error:
            raise_named(error, problem, name, phi.dtype, ONE_BY_ONE)
        if torch.is_grad_enabled() and phi.requires_grad:
            require_attached(values, name)
        return values

    return loss


def _entry(lam: float | Tensor, like: Tensor) -> Tensor:
    return torch.as_tensor(lam, dtype=like.dtype, device=like.device).expand(like.shape)


def _stack(data: Sequence[Any]) -> Any:
    """Equal structures of tensors as one structure with a leading dimension.

    Raises:
        BadInput: Shapes or structures differ, or there is something besides tensors.
    """
    leaves, specs = zip(*(pytree.tree_flatten(each) for each in data), strict=True)
    if not all(isinstance(leaf, Tensor) for each in leaves for leaf in each):
        raise BadInput("tasks of a vectorised meta-batch need data of tensors alone; take them one by one")
    if any(spec != specs[0] for spec in specs) or any(
        [leaf.shape for leaf in each] != [leaf.shape for leaf in leaves[0]] for each in leaves
    ):
        raise BadInput("tasks of a vectorised meta-batch need data of equal shapes; take them one by one")
    return pytree.tree_unflatten([torch.stack(each) for each in zip(*leaves, strict=True)], specs[0])
