"""Gradient descent, for tests that a problem can be learnt."""

from torch.func import grad

from harness.bilevel import Problem, Task
from harness.pytree import Params


def adapted(problem: Problem, task: Task, steps: int, lr: float) -> Params:
    """θ after some steps on the support set."""
    params = problem.theta()
    for _ in range(steps):
        slopes = grad(problem.inner_loss)(params, task.support)
        params = {name: value - lr * slopes[name] for name, value in params.items()}
    return params
