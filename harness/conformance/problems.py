"""The contract of problems."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from harness.attention import math_attention
from harness.bilevel import Checked, ClosedForm, Problem, Task
from harness.conformance.claims import copied, equal, require, rounding, tensors
from harness.errors import BadInput, first_line
from harness.meters.accuracy import agreement
from harness.objective import Objective
from harness.pytree import Layout, Params
from harness.references import DENSE_SIZE, implicit_gradient, in_float64

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
"""Lengths over which differences are taken; the best of them counts: kinks spoil the long ones, rounding the short."""
DIFFERENCE_TOLERANCE = 1e-4
"""Relative error of a derivative against finite differences in float64."""
CLOSED_FORM_TOLERANCE = 1e-6
LAM = 1.0
"""λ at which a closed form is checked."""


def check_problem(problem: Problem) -> list[str]:
    """Hold a problem against its contract, on two tasks of seed 0, around its θ.

    θ is the same at every call; tasks are those of their seed; both losses are pure functions (dropout and running
    batch-norm statistics are found), scalar, finite, of θ's dtype and twice differentiable, with derivatives that meet
    finite differences in float64; a closed form meets a numerical solution.

    Returns:
        Remarks: that ``torch.func.vmap`` cannot batch the losses, say, so that ``batching="vmap"`` is not for it.

    Raises:
        AssertionError: The contract is broken; says where.
    """
    theta = _checked_theta(problem)
    task = _checked_tasks(problem, theta)
    if isinstance(problem, Checked):
        _require_own_check(problem, task, theta)
    for loss, data, name in _losses(problem, task):
        with _unchanged(problem, theta, data, f"{name} changes"):
            _check_loss(loss, theta, data, name)
    wide_task, wide_theta = in_float64(task, theta)
    for loss, data, name in _losses(problem, wide_task):
        _check_derivatives(loss, wide_theta, data, name)
    if isinstance(problem, ClosedForm):
        _check_closed_form(problem, wide_task, wide_theta)
    return _vmap_remarks(problem, theta)


def _require_own_check(problem: Checked, task: Task, theta: Params) -> None:
    try:
        problem.check(task, theta)
    except BadInput as error:
        raise AssertionError(str(error)) from error


def _checked_theta(problem: Problem) -> Params:
    theta: Any = problem.theta()
    require(isinstance(theta, dict) and bool(theta), "theta() returns no dict, or an empty one")
    for name, tensor in theta.items():
        require(isinstance(tensor, Tensor), f"theta()['{name}'] is a {type(tensor).__name__}, not a tensor")
        require(tensor.is_floating_point(), f"theta()['{name}'] is {tensor.dtype}, not floating point")
        require(bool(tensor.isfinite().all()), f"theta()['{name}'] is not finite")
    try:
        Layout.of(theta)
    except BadInput as error:
        raise AssertionError(f"theta(): {error}") from None
    require(equal(problem.theta(), theta), "theta() returns other values at the second call")
    return theta


def _checked_tasks(problem: Problem, theta: Params) -> Task:
    tasks = problem.tasks(2, 0)
    require(len(tasks) == 2, f"tasks(2, 0) returns {len(tasks)} tasks")
    first = next(iter(theta.values()))
    for leaf in tensors((tasks[0].support, tasks[0].query)):
        if leaf.is_floating_point():
            require(leaf.dtype == first.dtype, f"a task holds {leaf.dtype}, theta {first.dtype}")
        require(leaf.device == first.device, f"a task is on {leaf.device}, theta on {first.device}")
    for task, again in zip(tasks, problem.tasks(2, 0), strict=True):
        same = equal(task.support, again.support) and equal(task.query, again.query)
        require(same, "tasks(2, 0) returns other tasks at the second call")
    return tasks[0]


def _losses(problem: Problem, task: Task) -> Iterator[tuple[Callable[[Params, Any], Tensor], Any, str]]:
    yield problem.inner_loss, task.support, "inner_loss"
    yield problem.outer_loss, task.query, "outer_loss"


def _check_loss(loss: Callable[[Params, Any], Tensor], theta: Params, data: Any, name: str) -> None:
    value: Any = loss(theta, data)
    like = next(iter(theta.values()))
    require(isinstance(value, Tensor), f"{name} returns a {type(value).__name__}, not a tensor")
    require(value.dim() == 0, f"{name} has shape {tuple(value.shape)}, not that of a scalar")
    require(value.dtype == like.dtype, f"{name} is {value.dtype}, theta {like.dtype}")
    require(bool(value.isfinite()), f"{name} is not finite at theta")
    first, again = float(value.detach()), float(loss(theta, data).detach())
    require(
        first == again,
        f"{name} is {first!r} and then {again!r} for the same arguments: dropout, or another random number in it?",
    )


@contextmanager
def _unchanged(problem: Problem, theta: Params, data: Any, what: str) -> Generator[None]:
    """Nothing a loss can reach is written to: its arguments, and tensors and modules that the problem holds."""
    held = _held(problem)
    before = [copied(theta), copied(data), copied(held)]
    yield
    require(equal(theta, before[0]), f"{what} the parameters it is given")
    require(equal(data, before[1]), f"{what} the data it is given")
    for name, tensor in _held(problem).items():
        require(
            name in before[2] and equal(tensor, before[2][name]),
            f"{what} the problem's {name}: running batch-norm statistics? use track_running_stats=False or eval()",
        )


def _held(problem: object) -> dict[str, Tensor]:
    """Tensors, parameters and buffers that hang on a problem's attributes, by name."""
    attributes = {key: getattr(problem, key, None) for key in getattr(problem, "__dict__", {})}
    if is_dataclass(problem):
        attributes |= {field.name: getattr(problem, field.name, None) for field in fields(problem)}
    held: dict[str, Tensor] = {}
    for key, value in attributes.items():
        for index, leaf in enumerate(pytree.tree_leaves(value)):
            name = f"{key}[{index}]" if index else key
            if isinstance(leaf, nn.Module):
                held |= {f"{name}.{own}": tensor for own, tensor in leaf.state_dict(keep_vars=True).items()}
            elif isinstance(leaf, Tensor):
                held[name] = leaf
    return held


def _check_derivatives(loss: Callable[[Params, Any], Tensor], theta: Params, data: Any, name: str) -> None:
    """Gradient and Hessian-vector product by reverse mode against central differences, along one random direction."""
    layout = Layout.of(theta)
    flat = layout.ravel(theta)
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(flat.shape, generator=generator, dtype=flat.dtype).to(flat.device)
    direction /= direction.norm()

    def value(point: Tensor) -> Tensor:
        return loss(layout.unravel(point), data)

    def gradient(point: Tensor, *, create_graph: bool = False) -> tuple[Tensor, Tensor]:
        leaf = point.detach().requires_grad_()
        return torch.autograd.grad(value(leaf), leaf, create_graph=create_graph)[0], leaf

    try:
        value(flat)
    except RuntimeError as error:
        raise AssertionError(f"{name} cannot be computed in float64: {first_line(error)}") from error
    try:
        with math_attention():
            slope, leaf = gradient(flat, create_graph=True)
            product = torch.zeros_like(slope)
            if slope.requires_grad:
                [product] = torch.autograd.grad(slope, leaf, direction, materialize_grads=True, allow_unused=True)
    except RuntimeError as error:
        raise AssertionError(f"{name} cannot be differentiated twice: {first_line(error)}") from error
    along = slope.detach().dot(direction)[None]
    _require_derivative(along, lambda point: value(point).detach()[None], flat, direction, f"{name}: its gradient")
    _require_derivative(
        product, lambda point: gradient(point)[0], flat, direction, f"{name}: its Hessian-vector product"
    )


def _require_derivative(
    found: Tensor, function: Callable[[Tensor], Tensor], point: Tensor, direction: Tensor, what: str
) -> None:
    quotients = [(function(point + h * direction) - function(point - h * direction)) / (2 * h) for h in STEPS]
    best = min(quotients, key=lambda quotient: float((found - quotient).norm()))
    error = float((found - best).norm())
    scale = max(float(found.norm()), float(best.norm()), 1e-8 * float(function(point).norm()))
    require(
        error <= DIFFERENCE_TOLERANCE * scale,
        f"{what} is off by {error / scale if scale else error:.1e} from finite differences in float64",
    )


def _check_closed_form(problem: Problem, task: Task, theta: Params) -> None:
    """A closed form against a numerical solution, where that exists."""
    objective = Objective.of(problem, task, theta, LAM)
    if objective.theta.numel() > DENSE_SIZE or not isinstance(problem, ClosedForm):
        return
    closed = problem.implicit_meta_gradient(task, theta, LAM)
    error = agreement(closed, objective.layout.unravel(implicit_gradient(objective))).relative_error
    require(
        error <= CLOSED_FORM_TOLERANCE,
        f"implicit_meta_gradient is off by {error:.1e} from a numerical solution at lam = {LAM}",
    )


def _vmap_remarks(problem: Problem, theta: Params) -> list[str]:
    tasks = problem.tasks(2, 0)
    try:
        together = Objective.of_tasks(problem, tasks, theta, 0.0)
        found = torch.stack([together.inner_loss(together.theta), together.outer_loss(together.theta)])
    except (BadInput, RuntimeError, ValueError, TypeError) as error:
        return [f"torch.func.vmap cannot batch the losses: {first_line(error)}"]
    one_by_one = [torch.stack([loss(theta, data) for loss, data, _ in _losses(problem, task)]) for task in tasks]
    expected = torch.stack(one_by_one, dim=1)
    near = torch.allclose(found, expected, rtol=rounding(found.dtype), atol=rounding(found.dtype))
    require(near, "the losses under torch.func.vmap differ from those one by one")
    return []
