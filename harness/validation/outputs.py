"""A user's function, called, and what it returned checked before it is compared."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from harness.bilevel import Problem, Task
from harness.errors import story
from harness.pytree import Params

Function: TypeAlias = Callable[[Problem, Task, Params], Params]
"""``fn(problem, task, theta)`` returns the meta-gradient of one task by parameter name."""


class Unfit(Exception):
    """There is nothing to compare; the message is the reason, one line."""


def returned(function: Function, problem: Problem, task: Task, theta: Params) -> Params:
    """The function's meta-gradient, detached.

    Raises:
        Unfit: It raised, changed θ, or did not return one finite tensor of θ's shape and dtype for each parameter.
    """
    own = {name: tensor.detach().clone() for name, tensor in theta.items()}
    try:
        result: Any = function(problem, task, own)
    except Exception as error:
        raise Unfit(f"it raised {story(error, function)}") from error
    changed = [name for name in theta if name not in own or not torch.equal(own[name], theta[name])]
    if changed:
        raise Unfit(f"it changed theta in place: {_listed(changed)}")
    return _checked(result, theta)


def _checked(result: Any, theta: Params) -> Params:
    if not isinstance(result, Mapping):
        hint = "; return its .grad" if hasattr(result, "grad") and not isinstance(result, Tensor) else ""
        raise Unfit(f"it returned a {type(result).__name__}, not a dict of tensors by parameter name{hint}")
    missing, extra = theta.keys() - result.keys(), result.keys() - theta.keys()
    if missing:
        raise Unfit(f"missing from what it returned: {_listed(missing)}")
    if extra:
        raise Unfit(f"theta has no {_listed(extra)}, which it returned")
    for name, like in theta.items():
        fault = _fault(result[name], like)
        if fault:
            raise Unfit(f"'{name}' {fault}")
    return {name: result[name].detach() for name in theta}


def _fault(grad: Any, like: Tensor) -> str | None:
    if not isinstance(grad, Tensor):
        if grad is None:
            return "is None, not a tensor: is it detached from the graph (detach(), .data, no_grad), or unused?"
        return f"is a {type(grad).__name__}, not a tensor"
    if grad.shape != like.shape:
        return f"has shape {tuple(grad.shape)}, theta's is {tuple(like.shape)}"
    if grad.dtype != like.dtype:
        return f"is {grad.dtype}, theta's is {like.dtype}"
    if not bool(grad.isfinite().all()):
        return "is not finite"
    return None


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names, key=str))
