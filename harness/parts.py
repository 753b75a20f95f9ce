"""Parts by name, for users, and what a problem of a user's own is held to before anything is computed with it."""

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import Any

from torch import Tensor

from harness.bilevel import Checked, Problem, Task
from harness.errors import BadInput, faults_of
from harness.estimators import Estimator
from harness.pytree import Params
from harness.registry import ESTIMATORS, PROBLEMS

PLACE = ("dtype", "device", "seed")
"""Parameters of every problem that are the cell's to say."""

_SIDES = ("support", "query")


def problem(name: str, **parameters: Any) -> Problem:
    """The problem called ``name``, as in ``problem("linear", dim=50, kappa=100.0)``.

    Raises:
        BadInput: No such problem or parameter, or a value out of its range.
    """
    return PROBLEMS.create(name, **parameters)


def estimator(name: str, **parameters: Any) -> Estimator:
    """The estimator called ``name``, as in ``estimator("imaml-cg", steps=25, lr="auto", lam=0.1, cg_steps=5)``.

    Raises:
        BadInput: No such estimator or parameter, or a value out of its range.
    """
    return ESTIMATORS.create(name, **parameters)


def require_placeable(name: str) -> None:
    """The problem called ``name`` can be told its dtype, device and seed.

    Raises:
        BadInput: No such problem, or it cannot.
    """
    taken = signature(PROBLEMS.get(name)).parameters
    missing = [key for key in PLACE if key not in taken]
    if missing and all(each.kind is not Parameter.VAR_KEYWORD for each in taken.values()):
        raise BadInput(f"problem '{name}': a problem must take dtype, device and seed; {', '.join(missing)} not taken")


def first_draw(problem: Problem, seed: int, name: str) -> tuple[Task, Params]:
    """A problem's first task of a seed, and its θ.

    Args:
        problem: Perhaps a user's own.
        seed: Of the task.
        name: What messages call the problem.

    Raises:
        BadInput: The problem's code fails, or what it returns is not what :class:`Problem` says.
    """
    with faults_of(problem, f"problem '{name}': tasks()"):
        tasks: Any = problem.tasks(1, seed)
    if not (isinstance(tasks, Sequence) and len(tasks) == 1 and all(hasattr(tasks[0], s) for s in _SIDES)):
        raise BadInput(f"problem '{name}': tasks(1, {seed}) did not return a list of one Task")
    with faults_of(problem, f"problem '{name}': theta()"):
        theta: Any = problem.theta()
    if not isinstance(theta, dict) or not all(isinstance(each, Tensor) for each in theta.values()):
        what = f"a {type(theta).__name__}" if not isinstance(theta, dict) else "a dict of other things"
        raise BadInput(f"problem '{name}': theta() returned {what}, not a dict of tensors by parameter name")
    if not theta:
        raise BadInput(f"problem '{name}': theta() returned an empty dict: there is nothing to learn")
    if isinstance(problem, Checked):
        try:
            problem.check(tasks[0], theta)
        except BadInput as error:
            raise BadInput(f"problem '{name}': {error}") from error
    return tasks[0], theta
