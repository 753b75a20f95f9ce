"""Another K, λ, α, inner loss or inner solver than was told."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor

from harness.inner import InnerSolver
from harness.objective import Objective
from harness.validation.case import Case
from harness.validation.causes.points import INNER_STEPS, SEARCH_SIZE
from harness.validation.causes.scale import Scale
from harness.validation.causes.solvers import FAMILIES, others
from harness.validation.causes.structure import MOST_NAMES
from harness.validation.hypothesis import Hypothesis
from harness.validation.report import Cause
from harness.validation.search import best_value
from harness.validation.words import apart, lambda_words, origin, times

MOMENTUM_GRID = (*np.linspace(0.02, 0.9, 23).tolist(), 0.92, 0.94, 0.96, 0.98, 0.995)


def factor(case: Case) -> Iterator[Hypothesis]:
    """A constant times the reference."""
    found = float(case.returned.dot(case.reference) / case.reference.dot(case.reference))
    line = f"a constant factor: it matches {times(found)}{origin(case, found)} times the reference"
    yield Hypothesis(Cause("factor", line), lambda case: found * case.reference, fitted=1)


def neighbouring_steps(case: Case) -> Iterator[Hypothesis]:
    """One inner step too few or too many."""
    if case.vs != "backprop":
        return
    steps = case.loop.steps
    for other, words in ((steps - 1, "one inner step too few"), (steps + 1, "one inner step too many")):
        if other > 0:
            cause = Cause("steps", f"{words}: it matches backprop through K = {other} instead of {steps}")
            yield Hypothesis(cause, lambda case, other=other: case.backprop(steps=other))


def other_steps(case: Case) -> Iterator[Hypothesis]:
    """Any other K that is not much larger."""
    steps = case.loop.steps
    if case.vs != "backprop" or case.reference.numel() > SEARCH_SIZE or steps > INNER_STEPS:
        return
    rivals = [k for k in range(1, min(2 * steps, INNER_STEPS) + 1) if abs(k - steps) > 1]
    distances = {k: case.distance(case.backprop(steps=k)) for k in rivals}
    best = min(distances, key=distances.__getitem__, default=None)
    if best is not None:
        cause = Cause("steps", f"number of inner steps: it matches backprop through K = {best} instead of {steps}")
        yield Hypothesis(cause, lambda case: case.backprop(steps=best), counted=1)


def proximal(case: Case) -> Iterator[Hypothesis]:
    """A proximal term that is missing, in part or whole, or pulls elsewhere."""
    if case.vs != "backprop" or not case.objective.regularised:
        return
    dropped = Cause("proximal", "proximal term dropped: it matches backprop through the inner loop with λ = 0")
    yield Hypothesis(dropped, lambda case: case.backprop(case.scaled(0.0)))
    centre = Cause("proximal-centre", "proximal term towards 0 instead of θ: it matches backprop with (λ/2)‖φ‖²")
    yield Hypothesis(centre, lambda case: case.backprop(case.towards_zero()))
    names = case.objective.layout.names
    biases = tuple(name for name in names if name.split(".")[-1] == "bias")
    left_out = [(name,) for name in names] if 1 < len(names) <= MOST_NAMES else []
    left_out += [biases] if len(biases) > 1 else []
    for each in left_out:
        shown = f"'{each[0]}'" if len(each) == 1 else "the biases"
        cause = Cause("proximal", f"proximal term dropped for {shown}: it matches backprop with λ = 0 there")
        yield Hypothesis(cause, lambda case, each=each: case.backprop(_without_lambda(case, each)))


def _without_lambda(case: Case, names: tuple[str, ...]) -> Objective:
    return replace(case.objective, lam=case.objective.lam * case.without(*names))


def solvers(case: Case) -> Iterator[Hypothesis]:
    """Another inner solver, with a usual momentum."""
    if case.vs != "backprop":
        return
    for solver, words in others(case):
        cause = Cause(
            "inner-solver", f"another inner solver than '{case.loop.inner}': it matches backprop through {words}"
        )
        yield Hypothesis(cause, lambda case, solver=solver: case.backprop(solver=solver))


def momentum(case: Case) -> Iterator[Hypothesis]:
    """Another momentum."""
    if case.vs != "backprop" or case.reference.numel() > SEARCH_SIZE:
        return
    for words, family in FAMILIES.items():

        def error(beta: float, family: Callable[[float], InnerSolver] = family) -> Tensor:
            found = case.backprop(solver=family(beta))
            return (case.returned - found) / found.norm()

        beta = best_value(error, (), MOMENTUM_GRID)
        if beta is not None:
            line = f"another inner solver than '{case.loop.inner}': it matches backprop through {words} {beta:.4g}"
            yield Hypothesis(
                Cause("inner-solver", line),
                lambda case, family=family, beta=beta: case.backprop(solver=family(beta)),
                fitted=1,
            )


strength = Scale(
    "lambda",
    lambda case: case.objective.regularised,
    lambda case, multiple: case.backprop(case.scaled(multiple)) if case.vs == "backprop" else case.implicit(multiple),
    lambda case, multiple: (
        f"λ: it matches {lambda_words(case, multiple)}"
        + ("" if case.vs == "backprop" else f", or the inner loss times {times(1 / multiple)}")
    ),
    walks=lambda case: case.vs == "backprop",
)
step_size = Scale(
    "step-size",
    lambda case: case.vs == "backprop",
    lambda case, ratio: case.backprop(lr=case.lr * ratio),
    lambda case, ratio: (
        f"inner step size: it matches α = {apart(ratio * case.lr, case.lr)} instead of {case.lr:.4g}"
        + ("" if case.objective.regularised else f", or the inner loss times {times(ratio)}")
    ),
)
inner_loss = Scale(
    "inner-loss",
    lambda case: case.vs == "backprop" and case.objective.regularised,
    lambda case, multiple: case.backprop(case.scaled(loss=multiple)),
    lambda case, multiple: f"the inner loss: it matches {times(multiple)} times it",
)


def length(case: Case) -> Iterator[Hypothesis]:
    """The reference's direction alone."""
    del case
    line = "right direction, but a length that changes from draw to draw, as if it were normalised or clipped"
    yield Hypothesis(
        Cause("length", line),
        lambda case: case.reference * (case.returned.norm() / case.reference.norm()),
        fitted=1,
        by_draw=True,
    )
