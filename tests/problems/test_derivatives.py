"""Every problem's losses, differentiated twice in each way estimators may choose."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, jvp, vmap
from torch.utils import _pytree as pytree

from harness.bilevel import Problem, Task
from harness.pytree import Layout
from harness.registry import PROBLEMS

SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("linear", {"dim": 6, "n": 9}),
    "logistic": ("logistic", {"dim": 6, "n": 9}),
    "sinusoid-relu": ("sinusoid", {"hidden": [8, 7]}),
    "sinusoid-tanh": ("sinusoid", {"hidden": [8, 7], "activation": "tanh"}),
    "sinusoid-softplus": ("sinusoid", {"hidden": [8, 7], "activation": "softplus"}),
    "mlp": ("mlp", {"width": 9, "depth": 2, "inputs": 4, "outputs": 3, "activation": "tanh"}),
    "transformer": (
        "transformer",
        {"layers": 2, "width": 8, "heads": 2, "context": 5, "vocabulary": 6, "shots": 3, "queries": 2},
    ),
    "conv4": ("conv4", {"ways": 2, "shots": 2, "queries": 1, "activation": "tanh"}),
}


@pytest.fixture(scope="module", autouse=True)
def _forward_mode_loaded() -> None:
    """PyTorch's first use of forward mode compiles something, and warns that the way it does so is deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
        jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))


@dataclass(frozen=True)
class Losses:
    """A problem's losses over flat vectors, with two tasks and a point and a direction for each."""

    problem: Problem
    layout: Layout
    tasks: tuple[Task, Task]
    points: Tensor
    """Shape (2, n); off the initial parameters, where some units may sit at kinks."""
    directions: Tensor
    """Shape (2, n)."""

    def inner(self, flat: Tensor, data: Any) -> Tensor:
        return self.problem.inner_loss(self.layout.unravel(flat), data)

    def outer(self, flat: Tensor, data: Any) -> Tensor:
        return self.problem.outer_loss(self.layout.unravel(flat), data)


@pytest.fixture(scope="module", params=SMALL)
def losses(request: pytest.FixtureRequest) -> Losses:
    name, parameters = SMALL[request.param]
    problem: Problem = PROBLEMS.create(name, dtype="float64", **parameters)
    first, second = problem.tasks(2, 0)
    layout = Layout.of(problem.theta())
    start = layout.ravel(problem.theta())
    generator = torch.Generator().manual_seed(0)
    points, directions = torch.randn(2, 2, start.numel(), generator=generator, dtype=torch.float64)
    return Losses(problem, layout, (first, second), start + points / 10, directions)


def double_backward(loss: Callable[[Tensor], Tensor], point: Tensor, direction: Tensor) -> Tensor:
    point = point.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(point), point, create_graph=True)
    return torch.autograd.grad(slope, point, direction)[0]


def forward_over_reverse(loss: Callable[[Tensor], Tensor], point: Tensor, direction: Tensor) -> Tensor:
    return jvp(grad(loss), (point,), (direction,))[1]


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_gradients_meet_finite_differences_of_the_loss(losses: Losses) -> None:
    task, point, direction = losses.tasks[0], losses.points[0], losses.directions[0]
    h = 1e-6
    for loss, data in ((losses.inner, task.support), (losses.outer, task.query)):
        slope = grad(loss)(point, data).dot(direction)
        expected = (loss(point + h * direction, data) - loss(point - h * direction, data)) / (2 * h)
        assert slope.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("product", [double_backward, forward_over_reverse])
def test_hessian_products_meet_finite_differences_of_the_gradient(
    losses: Losses, product: Callable[..., Tensor]
) -> None:
    task, point, direction = losses.tasks[0], losses.points[0], losses.directions[0]
    h = 1e-6
    for loss, data in ((losses.inner, task.support), (losses.outer, task.query)):
        slope = grad(lambda flat, loss=loss, data=data: loss(flat, data))
        expected = (slope(point + h * direction) - slope(point - h * direction)) / (2 * h)
        found = product(lambda flat, loss=loss, data=data: loss(flat, data), point, direction)
        assert distance(found, expected) < 1e-7


def test_both_hessian_products_agree_to_rounding(losses: Losses) -> None:
    task, point, direction = losses.tasks[0], losses.points[0], losses.directions[0]
    found = forward_over_reverse(lambda flat: losses.inner(flat, task.support), point, direction)
    assert distance(found, double_backward(lambda flat: losses.inner(flat, task.support), point, direction)) < 1e-12


def stacked(losses: Losses) -> Any:
    return pytree.tree_map(lambda *tensors: torch.stack(tensors), *(task.support for task in losses.tasks))


def each(losses: Losses, function: Callable[[Tensor, Any, Tensor], Tensor]) -> Tensor:
    tasks = zip(losses.points, losses.tasks, losses.directions, strict=True)
    return torch.stack([function(point, task.support, direction) for point, task, direction in tasks])


@pytest.mark.parametrize("order", ["loss", "gradient", "hessian product"])
def test_tasks_side_by_side_are_tasks_one_by_one(losses: Losses, order: str) -> None:
    def function(point: Tensor, support: Any, direction: Tensor) -> Tensor:
        if order == "loss":
            return losses.inner(point, support)
        if order == "gradient":
            return grad(losses.inner)(point, support)
        return forward_over_reverse(lambda flat: losses.inner(flat, support), point, direction)

    found = vmap(function)(losses.points, stacked(losses), losses.directions)
    assert distance(found, each(losses, function)) < 1e-12


def test_backward_twice_through_tasks_side_by_side(losses: Losses) -> None:
    support = stacked(losses)
    found = double_backward(lambda points: vmap(losses.inner)(points, support).sum(), losses.points, losses.directions)
    expected = each(losses, lambda p, data, v: double_backward(lambda flat: losses.inner(flat, data), p, v))
    assert distance(found, expected) < 1e-12
