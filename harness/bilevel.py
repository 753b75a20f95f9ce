"""What every estimator is given: a problem and a task of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from harness.errors import BadInput
from harness.pytree import Params


@dataclass(frozen=True)
class Task:
    """One task: the data its two losses take."""

    support: Any
    """Data of the inner loss."""
    query: Any
    """Data of the outer loss."""


def require_task(task: object, where: str = "") -> None:
    """Raise :class:`BadInput` that begins with ``where`` unless ``task`` has a support and a query."""
    if not (hasattr(task, "support") and hasattr(task, "query")):
        raise BadInput(f"{where}a task is a {type(task).__name__}, not a harness.Task(support, query)")


class Problem(Protocol):
    """A bilevel problem: adapt ``theta`` to a task by its inner loss, judge the result by its outer loss.

    The losses are pure functions of their arguments, twice differentiable in ``params``, and return scalars. The
    proximal term (λ/2)‖φ − θ‖² is not part of the inner loss: the estimator adds it.
    """

    def theta(self) -> Params:
        """The meta-parameters: the same values at every call, in fresh tensors or shared ones nobody writes to."""
        ...

    def inner_loss(self, params: Params, support: Any) -> Tensor:
        """L̂(φ) on a task's support data."""
        ...

    def outer_loss(self, params: Params, query: Any) -> Tensor:
        """L(φ) on a task's query data."""
        ...

    def tasks(self, n: int, seed: int) -> Sequence[Task]:
        """``n`` tasks, the same for the same seed."""
        ...


class Checked(ABC):
    """A problem of this package around code of a user's, which it looks over once, before it is computed with."""

    @property
    @abstractmethod
    def code(self) -> object:
        """The user's function, class or object: what a fault of the losses is a fault of."""

    @abstractmethod
    def check(self, task: Task, theta: Params) -> None:
        """Look the losses over on a task. Once it has passed, and on tensors without values, this does nothing.

        Raises:
            BadInput: They break the contract of :class:`Problem`.
        """

    @abstractmethod
    def trust(self) -> None:
        """Take it that the check has passed, elsewhere."""

    def remedy(self, parameter: str) -> str:
        """What to do where derivatives with respect to a parameter are wrong; empty where nothing is known."""
        return ""


@runtime_checkable
class ClosedForm(Protocol):
    """A problem whose implicit meta-gradient has a closed form."""

    def implicit_meta_gradient(self, task: Task, theta: Params, lam: float) -> Params:
        """d/dθ L(φ*(θ)) at the exact minimiser φ* of L̂(φ) + (λ/2)‖φ − θ‖² (paper, Definition 3)."""
        ...
