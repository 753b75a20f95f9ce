"""The contract of estimators."""

from dataclasses import replace
from typing import Any

import torch

from harness.bilevel import Problem, Task
from harness.conformance.claims import copied, equal, require, require_close, rounding
from harness.errors import BadInput, first_line
from harness.estimators import Estimator, MetaGradient
from harness.problems.linear import LinearRegression
from harness.pytree import Layout, Params


def check_estimator(estimator: Estimator, problem: Problem | None = None) -> list[str]:
    """Hold an estimator against its contract on two tasks of ``problem``, a small linear regression by default.

    It returns finite gradients of θ's names, shapes and dtype, and the query loss at its φ_K; it changes nothing and
    returns the same at every call; over several tasks it returns their mean, side by side as one by one. Whether the
    gradient is the right one is for :func:`harness.validate` to say.

    Returns:
        Remarks: that it cannot take tasks side by side, say.

    Raises:
        AssertionError: The contract is broken; says where.
    """
    problem = problem or LinearRegression(dim=6, n=12)
    tasks, theta = problem.tasks(2, 0), problem.theta()
    before = copied(theta)
    results = [estimator.meta_gradient(problem, task, theta) for task in tasks]
    for task, result in zip(tasks, results, strict=True):
        _check_result(result, problem, task, theta)
        require(result.diagnostics.steps <= estimator.steps, "diagnostics.steps is above steps")
    require(equal(theta, before), "meta_gradient changes theta")
    again = estimator.meta_gradient(problem, tasks[0], theta)
    require(equal(again.grad, results[0].grad), "meta_gradient returns another gradient at the second call")
    mean = {name: (results[0].grad[name] + results[1].grad[name]) / 2 for name in theta}
    batch = replace(estimator, batching="loop").meta_gradients(problem, tasks, theta)
    require_close(batch.grad, mean, "meta_gradients is not the mean of meta_gradient")
    return _batching_remarks(estimator, problem, theta)


def _check_result(result: Any, problem: Problem, task: Task, theta: Params) -> None:
    require(isinstance(result, MetaGradient), f"meta_gradient returns a {type(result).__name__}, not a MetaGradient")
    require(list(result.grad) == list(theta), f"the gradient has {list(result.grad)}, theta {list(theta)}")
    for name, tensor in theta.items():
        grad = result.grad[name]
        require(
            (grad.shape, grad.dtype) == (tensor.shape, tensor.dtype),
            f"the gradient of '{name}' is {grad.dtype} of shape {tuple(grad.shape)}, "
            f"theta {tensor.dtype} of shape {tuple(tensor.shape)}",
        )
        require(not grad.requires_grad, f"the gradient of '{name}' carries a graph")
        require(bool(grad.isfinite().all()), f"the gradient of '{name}' is not finite")
    phi = Layout.of(theta).unravel(result.diagnostics.phi)
    loss, expected = result.query_loss, problem.outer_loss(phi, task.query)
    require(loss.dim() == 0 and not loss.requires_grad, "query_loss is not a detached scalar")
    near = torch.allclose(loss, expected, rtol=rounding(loss.dtype), atol=rounding(loss.dtype))
    require(near, f"query_loss is {float(loss):.6g}, the outer loss at diagnostics.phi {float(expected):.6g}")


def _batching_remarks(estimator: Estimator, problem: Problem, theta: Params) -> list[str]:
    """Side by side against one by one, with the same step size."""
    lr = 0.01 if estimator.lr == "auto" else estimator.lr
    tasks = problem.tasks(2, 0)
    grads: list[Params] = []
    for batching in ("loop", "vmap"):
        try:
            each = replace(estimator, batching=batching, lr=lr)
            grads.append(each.meta_gradients(problem, tasks, theta).grad)
        except (BadInput, RuntimeError, ValueError, TypeError) as error:
            return [f"batching = '{batching}' fails: {first_line(error)}"]
    require_close(grads[1], grads[0], "batching = 'vmap' is not the mean that batching = 'loop' is")
    return []
