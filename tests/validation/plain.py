"""Meta-gradients as a researcher writes them, in plain PyTorch, with room for one fault each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jacrev, jvp

from harness.bilevel import Problem, Task
from harness.pytree import Params


def flat(params: Params) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in params.values()])


def unflat(vector: Tensor, like: Params) -> Params:
    pieces = vector.split([tensor.numel() for tensor in like.values()])
    return {name: piece.view(tensor.shape) for piece, (name, tensor) in zip(pieces, like.items(), strict=True)}


Loss = Callable[[Tensor], Tensor]


def slope(loss: Loss, point: Tensor) -> Tensor:
    point = point.detach().requires_grad_()
    return torch.autograd.grad(loss(point), point)[0]


def exact_product(loss: Loss, point: Tensor, direction: Tensor) -> Tensor:
    point = point.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(point), point, create_graph=True)
    return torch.autograd.grad(gradient, point, direction)[0]


def faulty_product(loss: Loss, point: Tensor, direction: Tensor) -> Tensor:
    """In PyTorch 2.13 wrong for batch norm in training mode."""
    return jvp(jacrev(loss), (point,), (direction,))[1]


@dataclass(frozen=True)
class Implicit:
    """Gradient descent on G, then (I + H/λ) x = ∇L(φ_K) by CG: right as it stands."""

    lam: float = 0.5
    steps: int = 150
    lr: float = 0.6
    cg_steps: int = 20
    sign: float = 1.0
    inner_lam: float | None = None
    """λ in the inner problem, where it is another."""
    linear_lam: float | None = None
    """λ in the linear system, where it is another."""
    damping: float = 0.0
    stale_residual: bool = False
    second_order: bool = True
    product: Callable[[Loss, Tensor, Tensor], Tensor] = exact_product

    def __call__(self, problem: Problem, task: Task, theta: Params) -> Params:
        def inner(point: Tensor) -> Tensor:
            return problem.inner_loss(unflat(point, theta), task.support)

        start = flat(theta)
        inner_lam = self.lam if self.inner_lam is None else self.inner_lam
        phi = start
        for _ in range(self.steps):
            phi = phi - self.lr * (slope(inner, phi) + inner_lam * (phi - start))
        right = slope(lambda point: problem.outer_loss(unflat(point, theta), task.query), phi)
        if not self.second_order:
            return unflat(self.sign * right, theta)
        linear_lam = self.linear_lam or self.lam
        solution = self.conjugate_gradients(
            lambda v: (1 + self.damping) * v + self.product(inner, phi, v) / linear_lam, right
        )
        return unflat(self.sign * solution, theta)

    def conjugate_gradients(self, operator: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
        x = torch.zeros_like(right)
        residual = direction = right
        for _ in range(self.cg_steps):
            if residual.norm() < 1e-12 * right.norm():
                break
            product = operator(direction)
            length = residual @ residual / (direction @ product)
            x = x + length * direction
            new = residual - length * product
            direction = new + (new @ new) / (residual @ residual) * direction
            if not self.stale_residual:
                residual = new
        return x


@dataclass(frozen=True)
class Unrolled:
    """Backprop through gradient descent on G: right as it stands."""

    lam: float = 0.5
    steps: int = 8
    lr: float = 0.4
    sign: float = 1.0
    factor: float = 1.0
    second_order: bool = True
    detached: bool = False
    """Whether the θ of the proximal term is taken for a constant."""

    def __call__(self, problem: Problem, task: Task, theta: Params) -> Params:
        start = flat(theta).requires_grad_()
        phi = start
        for _ in range(self.steps):
            loss = problem.inner_loss(unflat(phi, theta), task.support)
            (gradient,) = torch.autograd.grad(loss, phi, create_graph=True)
            step = gradient if self.second_order else gradient.detach()
            anchor = start.detach() if self.detached else start
            phi = phi - self.lr * (step + self.lam * (phi - anchor))
        loss = problem.outer_loss(unflat(phi, theta), task.query)
        (gradient,) = torch.autograd.grad(loss, start if self.second_order else phi)
        return unflat(self.sign * self.factor * gradient, theta)


@dataclass(frozen=True)
class Replayed:
    """The same by walking back with one Hessian-vector product a step."""

    lam: float = 0.5
    steps: int = 8
    lr: float = 0.4
    product: Callable[[Loss, Tensor, Tensor], Tensor] = exact_product

    def __call__(self, problem: Problem, task: Task, theta: Params) -> Params:
        def inner(point: Tensor) -> Tensor:
            return problem.inner_loss(unflat(point, theta), task.support)

        start = flat(theta)
        path = [start]
        for _ in range(self.steps):
            path.append(path[-1] - self.lr * (slope(inner, path[-1]) + self.lam * (path[-1] - start)))
        v = slope(lambda point: problem.outer_loss(unflat(point, theta), task.query), path.pop())
        direct = torch.zeros_like(v)
        while path:
            direct = direct + self.lr * self.lam * v
            v = v - self.lr * (self.product(inner, path.pop(), v) + self.lam * v)
        return unflat(direct + v, theta)
