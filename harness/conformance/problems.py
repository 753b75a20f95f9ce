"""The contract of problems."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from harness.bilevel import Checked, ClosedForm, Problem, Task
from harness.conformance.claims import copied, equal, require, rounding, tensors
from harness.conformance.derivatives import derivative_fault
from harness.errors import BadInput, faults_of, first_line
from harness.losses import Name, value_of
from harness.meters.accuracy import agreement
from harness.objective import Objective
from harness.parts import draw_tasks
from harness.pytree import Layout, Params
from harness.references import DENSE_SIZE, implicit_gradient, in_float64

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
    for data, name in _losses(task):
        with _unchanged(problem, theta, data, f"{name} changes"):
            _check_loss(problem, theta, data, name)
    wide_task, wide_theta = in_float64(task, theta)
    _check_derivatives(problem, wide_task, wide_theta)
    if isinstance(problem, ClosedForm):
        _check_closed_form(problem, wide_task, wide_theta)
    return _vmap_remarks(problem, theta)


def _require_own_check(problem: Checked, task: Task, theta: Params) -> None:
    with _said():
        problem.check(task, theta)


@contextmanager
def _said() -> Generator[None]:
    """What is wrong with a problem is a broken contract."""
    try:
        yield
    except BadInput as error:
        raise AssertionError(str(error)) from error


def _checked_theta(problem: Problem) -> Params:
    with _said(), faults_of(problem, "theta()"):
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
    with _said():
        tasks, others = (draw_tasks(problem, 2, 0) for _ in range(2))
    first = next(iter(theta.values()))
    for leaf in tensors((tasks[0].support, tasks[0].query)):
        if leaf.is_floating_point():
            require(leaf.dtype == first.dtype, f"a task holds {leaf.dtype}, theta {first.dtype}")
        require(leaf.device == first.device, f"a task is on {leaf.device}, theta on {first.device}")
    for task, again in zip(tasks, others, strict=True):
        same = equal(task.support, again.support) and equal(task.query, again.query)
        require(same, "tasks(2, 0) returns other tasks at the second call")
    return tasks[0]


def _losses(task: Task) -> Iterator[tuple[Any, Name]]:
    yield task.support, "inner_loss"
    yield task.query, "outer_loss"


def _check_loss(problem: Problem, theta: Params, data: Any, name: Name) -> None:
    like = next(iter(theta.values()))
    with _said():
        value = value_of(problem, name, theta, data)
    require(value.dtype == like.dtype, f"{name} is {value.dtype}, theta {like.dtype}")
    require(bool(value.isfinite()), f"{name} is not finite at theta")
    first, again = float(value.detach()), float(value_of(problem, name, theta, data).detach())
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


def _check_derivatives(problem: Problem, task: Task, theta: Params) -> None:
    """Both losses, twice differentiated, against finite differences."""
    objective = Objective.of(problem, task, theta, 0.0)
    losses = {"inner_loss": objective, "outer_loss": replace(objective, inner_loss=objective.outer_loss)}
    for name, loss in losses.items():
        try:
            loss.inner_loss(loss.theta)
        except (RuntimeError, BadInput) as error:
            raise AssertionError(f"{name} cannot be computed in float64: {first_line(error)}") from error
        try:
            loss.hessian(loss.theta)(torch.ones_like(loss.theta))
        except (RuntimeError, BadInput) as error:
            raise AssertionError(f"{name} cannot be differentiated twice: {first_line(error)}") from error
    fault = derivative_fault(objective, outer_twice=True)
    require(fault is None, str(fault))


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
    one_by_one = [torch.stack([value_of(problem, name, theta, data) for data, name in _losses(task)]) for task in tasks]
    expected = torch.stack(one_by_one, dim=1)
    near = torch.allclose(found, expected, rtol=rounding(found.dtype), atol=rounding(found.dtype))
    require(near, "the losses under torch.func.vmap differ from those one by one")
    return []
