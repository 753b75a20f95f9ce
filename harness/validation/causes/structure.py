"""What is differentiated, of which losses, and how far back."""

from collections.abc import Callable, Iterator

from torch import Tensor

from harness.bilevel import Task
from harness.errors import BadInput, first_line
from harness.inner import DifferentiableSolver
from harness.validation.case import Case
from harness.validation.causes.points import INNER_STEPS, LAST, MINIMISER, SEARCH_SIZE
from harness.validation.causes.solvers import Frozen
from harness.validation.hypothesis import Hypothesis
from harness.validation.report import Cause
from harness.validation.walk import Back

MOST_NAMES = 20
"""Most parameters that are tried one by one."""


def sign(case: Case) -> Iterator[Hypothesis]:
    """Minus the reference."""
    del case
    cause = Cause("sign", "wrong sign: it matches minus the reference")
    yield Hypothesis(cause, lambda case: -case.reference, scalable=False)


def first_order(case: Case) -> Iterator[Hypothesis]:
    """The query gradient where the inner loop ends."""
    if case.steps:
        yield _first_order("φ_K", lambda case: case.last)
        cause = Cause("reptile", "it matches θ − φ_K, which is Reptile's direction and no gradient")
        yield Hypothesis(cause, lambda case: case.objective.theta - case.last)
    if case.regularised:
        yield _first_order("φ*", lambda case: case.minimiser)
    cause = Cause("inner-loop", "no inner loop: it matches ∇L(θ)")
    yield Hypothesis(cause, lambda case: case.query_gradient(case.objective.theta))


def _first_order(where: str, phi: Callable[[Case], Tensor]) -> Hypothesis:
    line = f"first order only: it matches ∇L({where}), as if dφ/dθ were the identity"
    return Hypothesis(Cause("first-order", line), lambda case: case.query_gradient(phi(case)))


def first_order_at_some_step(case: Case) -> Iterator[Hypothesis]:
    """The query gradient at an iterate, where K is not known."""
    if case.steps:
        return
    distances = {k: case.distance(case.query_gradient(phi)) for k, phi in case.iterates(INNER_STEPS)}
    best = min(distances, key=distances.__getitem__)
    line = f"first order only: it matches ∇L(φ_k) after k = {best} steps of α = {case.lr:.4g}"
    yield Hypothesis(
        Cause("first-order", line), lambda case: case.query_gradient(dict(case.iterates(best))[best]), counted=1
    )


def other_method(case: Case) -> Iterator[Hypothesis]:
    """Backprop where the implicit gradient is asked for, and the reverse."""
    if case.vs == "implicit" and case.unrolls:
        line = f"the other method: it matches exact backprop through K = {case.steps} steps, not the implicit gradient"
        yield Hypothesis(Cause("other-method", line), Case.backprop)
    if case.vs == "backprop" and case.regularised:
        for where, point in (("φ_K", LAST), ("the exact inner solution", MINIMISER)):
            line = f"the other method: it matches the implicit gradient at {where}, not backprop through K steps"
            yield Hypothesis(Cause("other-method", line), lambda case, point=point: case.system(point).exact())


def backprop_through_some_steps(case: Case) -> Iterator[Hypothesis]:
    """Backprop where the implicit gradient is asked for, and K is not known."""
    if case.steps or case.reference.numel() > SEARCH_SIZE or not isinstance(case.loop.solver, DifferentiableSolver):
        return
    distances = {k: case.distance(case.backprop(steps=k)) for k in range(1, INNER_STEPS // 2 + 1)}
    best = min(distances, key=distances.__getitem__)
    line = (
        f"the other method: it matches exact backprop through K = {best} steps of α = {case.lr:.4g}, "
        "not the implicit gradient"
    )
    yield Hypothesis(Cause("other-method", line), lambda case: case.backprop(steps=best), counted=1)


def detached(case: Case) -> Iterator[Hypothesis]:
    """Backprop without what θ gives through the proximal term."""
    if not (case.unrolls and case.objective.regularised):
        return
    line = "θ taken for a constant in the proximal term: its own gradient there is missing"
    yield Hypothesis(Cause("detached", line), lambda case: _at(case, case.loop.steps).cotangent)


def truncated(case: Case) -> Iterator[Hypothesis]:
    """Backprop through the last h steps alone."""
    if not case.unrolls:
        return
    backs = [back for back in case.walk_back() if back.steps > 0][:-1]
    for words, gradient in _TRUNCATED.items():
        distances = {back.steps: case.distance(gradient(back)) for back in backs}
        best = min(distances, key=distances.__getitem__, default=None)
        if best is None or (not case.objective.regularised and words != _STRAIGHT):
            continue
        line = f"only the last h = {best} of K = {case.steps} inner steps are differentiated{words}"
        yield Hypothesis(
            Cause("truncated", line),
            lambda case, best=best, gradient=gradient: gradient(_at(case, best)),
            counted=1,
        )


_STRAIGHT = ", and dφ/dθ before them is taken for the identity"
_TRUNCATED = {
    "": lambda back: back.from_theta,
    _STRAIGHT: lambda back: back.cotangent + back.from_theta,
    f"{_STRAIGHT}, and θ in the proximal term for a constant": lambda back: back.cotangent,
}  # fmt: skip


def _at(case: Case, steps: int) -> Back:
    return next(back for back in case.walk_back() if back.steps == steps)


def data(case: Case) -> Iterator[Hypothesis]:
    """The losses on the wrong data."""
    del case
    for words, exchange in _EXCHANGES.items():
        cause = Cause("data", f"{words}: it matches the reference of that")
        yield Hypothesis(cause, lambda case, exchange=exchange: _exchanged(case, exchange))


def _exchanged(case: Case, exchange: Callable[[Task], Task]) -> Tensor:
    try:
        return case.given(exchange(case.task)).right()
    except Exception as error:  # the losses may be made for one of the sets alone
        raise BadInput(f"the losses do not take exchanged data: {first_line(error)}") from error


_EXCHANGES: dict[str, Callable[[Task], Task]] = {
    "support and query set are exchanged": lambda task: Task(task.query, task.support),
    "the outer loss is taken on the support set": lambda task: Task(task.support, task.support),
    "the inner loss is taken on the query set": lambda task: Task(task.query, task.query),
}


def not_adapted(case: Case) -> Iterator[Hypothesis]:
    """Backprop through an inner loop that leaves one parameter as it is."""
    names, solver = case.objective.layout.names, case.loop.solver
    if not (case.unrolls and isinstance(solver, DifferentiableSolver) and 1 < len(names) <= MOST_NAMES):
        return
    for name in names:
        line = f"the inner loop does not adapt '{name}': it matches backprop without its steps"
        yield Hypothesis(
            Cause("not-adapted", line),
            lambda case, name=name: case.backprop(solver=Frozen(solver, case.without(name))),
        )
