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


def least_residual(operator: Loss, right: Tensor, steps: int) -> Tensor:
    """The minimiser of the residual over the Krylov space, by orthonormalising its powers."""
    basis: list[Tensor] = []
    vector = right
    for _ in range(steps):
        for _ in range(2):
            for each in basis:
                vector = vector - (each @ vector) * each
        basis.append(vector / vector.norm())
        vector = operator(basis[-1])
    columns = torch.stack(basis, dim=1)
    image = torch.stack([operator(each) for each in basis], dim=1)
    return columns @ torch.linalg.lstsq(image, right[:, None]).solution[:, 0]


def neumann(operator: Loss, right: Tensor, terms: int, eta: float) -> Tensor:
    term = total = right
    for _ in range(terms - 1):
        term = term - eta * operator(term)
        total = total + term
    return eta * total


Exchange = Callable[[Task], Task]


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
    solver: str = "cg"
    """``cg``, ``normal`` for CG on the normal equations, ``minres``, or ``neumann``."""
    eta: float = 0.5
    system_sign: float = 1.0
    """−1 for (I − H/λ) x = g."""
    momentum: float = 0.0
    centre: float = 1.0
    """0 for a proximal term towards 0."""
    exchange: Exchange | None = None
    last_step_alone: bool = False
    """Whether one step along the proximal term alone follows."""

    def __call__(self, problem: Problem, task: Task, theta: Params) -> Params:
        task = self.exchange(task) if self.exchange else task

        def inner(point: Tensor) -> Tensor:
            return problem.inner_loss(unflat(point, theta), task.support)

        start = flat(theta)
        inner_lam = self.lam if self.inner_lam is None else self.inner_lam
        phi, velocity = start, torch.zeros_like(start)
        for _ in range(self.steps):
            velocity = self.momentum * velocity + slope(inner, phi) + inner_lam * (phi - self.centre * start)
            phi = phi - self.lr * velocity
        if self.last_step_alone:
            phi = phi - self.lr * self.lam * (phi - start)
        right = slope(lambda point: problem.outer_loss(unflat(point, theta), task.query), phi)
        if not self.second_order:
            return unflat(self.sign * right, theta)
        linear_lam = self.linear_lam or self.lam

        def operator(v: Tensor) -> Tensor:
            return (1 + self.damping) * v + self.system_sign * self.product(inner, phi, v) / linear_lam

        match self.solver:
            case "normal":
                solution = self.conjugate_gradients(lambda v: operator(operator(v)), operator(right))
            case "minres":
                solution = least_residual(operator, right, self.cg_steps)
            case "neumann":
                solution = neumann(operator, right, self.cg_steps, self.eta)
            case _:
                solution = self.conjugate_gradients(operator, right)
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
    last: int | None = None
    """Steps that are differentiated, the last ones; all by default."""
    straight: bool = False
    """Whether dφ/dθ is the identity before them."""
    inner_factor: float = 1.0
    heavy_ball: float = 0.0
    nesterov: float = 0.0
    """As in ``torch.optim.SGD``."""
    centre: float = 1.0
    """0 for a proximal term towards 0."""
    exchange: Exchange | None = None
    frozen: str | None = None
    """A parameter that the inner loop leaves as it is."""
    free: str | None = None
    """A parameter that the proximal term leaves out."""

    def __call__(self, problem: Problem, task: Task, theta: Params) -> Params:
        task = self.exchange(task) if self.exchange else task
        start = flat(theta).requires_grad_()
        moves = flat({name: torch.full_like(each, float(name != self.frozen)) for name, each in theta.items()})
        pulled = flat({name: torch.full_like(each, float(name != self.free)) for name, each in theta.items()})
        phi, velocity, momentum = start, torch.zeros_like(start), self.heavy_ball + self.nesterov
        for step in range(self.steps):
            if self.last is not None and step == self.steps - self.last:
                phi = start + (phi - start).detach() if self.straight else phi.detach().requires_grad_()
                velocity = velocity.detach()
            loss = self.inner_factor * problem.inner_loss(unflat(phi, theta), task.support)
            (gradient,) = torch.autograd.grad(loss, phi, create_graph=True)
            gradient = gradient if self.second_order else gradient.detach()
            anchor = start.detach() if self.detached else start
            gradient = moves * (gradient + self.lam * pulled * (phi - self.centre * anchor))
            velocity = momentum * velocity + gradient
            phi = phi - self.lr * (gradient + momentum * velocity if self.nesterov else velocity)
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
