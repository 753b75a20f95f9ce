"""Parts by name, for users, and what a problem of a user's own is held to before anything is computed with it."""

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import Any

from torch import Tensor

from harness.bilevel import Checked, Problem, Task, require_task
from harness.errors import BadInput, faults_of
from harness.estimators import Estimator
from harness.pytree import Params
from harness.registry import ESTIMATORS, PROBLEMS

PLACE = ("dtype", "device", "seed")
"""Parameters of every problem that are the cell's to say."""


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
    (task,) = draw_tasks(problem, 1, seed, f"problem '{name}': ")
    with faults_of(problem, f"problem '{name}': theta()"):
        theta: Any = problem.theta()
    if not isinstance(theta, dict) or not all(isinstance(each, Tensor) for each in theta.values()):
        what = _article(theta) if not isinstance(theta, dict) else "a dict of other things"
        raise BadInput(f"problem '{name}': theta() returned {what}, not a dict of tensors by parameter name")
    if not theta:
        raise BadInput(f"problem '{name}': theta() returned an empty dict: there is nothing to learn")
    if isinstance(problem, Checked):
        try:
            problem.check(task, theta)
        except BadInput as error:
            raise BadInput(f"problem '{name}': {error}") from error
    return task, theta


def draw_tasks(problem: Problem, n: int, seed: int, where: str = "") -> Sequence[Task]:
    """So many tasks of a problem, perhaps a user's own.

    Args:
        problem: The problem.
        n: How many tasks.
        seed: Of the tasks.
        where: What messages begin with.

    Raises:
        BadInput: ``tasks()`` fails, or returns anything else.
    """
    with faults_of(problem, f"{where}tasks()"):
        tasks: Any = problem.tasks(n, seed)
    if not isinstance(tasks, Sequence) or len(tasks) != n:
        what = f"{len(tasks)} of them" if isinstance(tasks, Sequence) else _article(tasks)
        raise BadInput(f"{where}tasks({n}, {seed}) returned {what}, not a list of {n} Task{'s'[: n != 1]}")
    for task in tasks:
        require_task(task, f"{where}tasks({n}, {seed}): ")
    return tasks


def _article(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
