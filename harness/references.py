"""What accuracy is measured against: the exact meta-gradient, in the two senses of exact."""

from collections.abc import Iterable

from harness.bilevel import ClosedForm, Problem, Task
from harness.cell import Reference
from harness.errors import BadInput
from harness.estimators import Estimator
from harness.estimators.replay import MamlReplay
from harness.pytree import Params


def reference_gradient(
    kind: Reference, problem: Problem, task: Task, theta: Params, estimator: Estimator, lr: float
) -> Params:
    """The exact meta-gradient of one task, for the inner problem ``estimator`` solved with step size ``lr``.

    ``backprop``: through the same K steps of the same inner solver that ``estimator`` takes, by replay, so that the
    reference never needs memory the estimator did not. ``implicit``: at the exact minimiser of the inner objective
    (paper, Definition 3), by the problem's closed form.

    Raises:
        BadInput: ``implicit`` for a problem without a closed form.
    """
    if kind == "backprop":
        exact = MamlReplay(estimator.steps, lr, estimator.lam, estimator.inner)
        return exact.meta_gradient(problem, task, theta).grad
    if not isinstance(problem, ClosedForm):
        raise _no_closed_form(problem)
    return problem.implicit_meta_gradient(task, theta, estimator.lam)


def require_references(kinds: Iterable[Reference], problem: Problem) -> None:
    """Raise :class:`BadInput` if one of the references does not exist for ``problem``."""
    if "implicit" in kinds and not isinstance(problem, ClosedForm):
        raise _no_closed_form(problem)


def _no_closed_form(problem: Problem) -> BadInput:
    name = type(problem).__name__
    return BadInput(f"reference 'implicit' needs a problem with a closed form, which {name} lacks; use 'backprop'")
