"""The losses of one task over flat parameter vectors: their gradients and Hessian-vector products, counted."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.bilevel import Problem, Task
from harness.pytree import Layout, Params


@dataclass
class Counts:
    """How often each kind of work was done."""

    gradients: int = 0
    """Gradients of the inner or outer loss."""
    hvps: int = 0
    """Hessian-vector products of the inner loss, or vector-Jacobian products of one inner step."""
    step_size_hvps: int = 0
    """Hessian-vector products spent on choosing ``lr="auto"``."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.gradients + other.gradients, self.hvps + other.hvps, self.step_size_hvps + other.step_size_hvps
        )


@dataclass
class Objective:
    """G(φ) = L̂(φ) + (λ/2)‖φ − θ‖² of one task, and the outer loss L(φ); φ and θ are flat, shape (n,)."""

    problem: Problem
    task: Task
    layout: Layout
    theta: Tensor
    """θ, detached."""
    lam: float
    """λ; 0 leaves the proximal term out."""
    counts: Counts = field(default_factory=Counts)

    @classmethod
    def of(cls, problem: Problem, task: Task, theta: Params, lam: float) -> "Objective":
        """The objective of ``task`` around ``theta``."""
        layout = Layout.of(theta)
        return cls(problem, task, layout, layout.ravel(theta).detach(), lam)

    def support_gradient(self, phi: Tensor, *, create_graph: bool = False) -> Tensor:
        """∇L̂(φ), shape (n,). With ``create_graph``, ``phi`` must require grad and the result can be differentiated."""
        with torch.enable_grad():
            if not create_graph:
                phi = phi.detach().requires_grad_()
            loss = self.problem.inner_loss(self.layout.unravel(phi), self.task.support)
            self.counts.gradients += 1
            return torch.autograd.grad(loss, phi, create_graph=create_graph)[0]

    def gradient(self, phi: Tensor, theta: Tensor | None = None, *, create_graph: bool = False) -> Tensor:
        """∇G(φ) = ∇L̂(φ) + λ(φ − θ), shape (n,). ``theta`` stands in for θ where its graph is wanted."""
        gradient = self.support_gradient(phi, create_graph=create_graph)
        if self.lam == 0.0:
            return gradient
        return gradient.add(phi - (self.theta if theta is None else theta), alpha=self.lam)

    def query_loss(self, phi: Tensor) -> Tensor:
        """L(φ), a scalar with its graph."""
        return self.problem.outer_loss(self.layout.unravel(phi), self.task.query)

    def query_gradient(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """L(φ) and ∇L(φ), both detached."""
        with torch.enable_grad():
            phi = phi.detach().requires_grad_()
            loss = self.query_loss(phi)
            self.counts.gradients += 1
            return loss.detach(), torch.autograd.grad(loss, phi)[0]

    def hessian(self, phi: Tensor) -> Callable[[Tensor], Tensor]:
        """The operator v ↦ ∇²L̂(φ) v, by double backward.

        The graph of ∇L̂(φ) is built once and lives as long as the operator: each product costs about two gradients,
        and activations of one gradient are held.
        """
        with torch.enable_grad():
            phi = phi.detach().requires_grad_()
            gradient = self.support_gradient(phi, create_graph=True)

        def product(v: Tensor) -> Tensor:
            self.counts.hvps += 1
            return torch.autograd.grad(gradient, phi, v, retain_graph=True)[0]

        return product

    def residual(self, phi: Tensor) -> float:
        """‖∇G(φ)‖ / ‖∇G(θ)‖: how far φ is from solving the inner problem. Not counted."""
        counts, self.counts = self.counts, Counts()
        try:
            start = self.gradient(self.theta).norm()
            return float(self.gradient(phi).norm() / start) if float(start) > 0.0 else 0.0
        finally:
            self.counts = counts
