"""A meta-gradient function against the exact meta-gradient, on seeded problems."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch

from harness.bilevel import Problem, Task
from harness.cell import Reference
from harness.checks import require_dtype, require_positive
from harness.conformance.derivatives import derivative_fault
from harness.errors import BadInput, faults_of, unknown
from harness.estimators import Estimator
from harness.estimators.first_order import Fomaml
from harness.estimators.replay import MamlReplay
from harness.estimators.unrolled import Maml
from harness.machine import resolve_device
from harness.meters.accuracy import agreement
from harness.objective import Objective
from harness.parts import first_draw, require_placeable
from harness.pytree import Layout, Params
from harness.references import NoReference, in_float64, reference_gradient
from harness.registry import PROBLEMS
from harness.validation.case import Case
from harness.validation.outputs import Function, Unfit, returned
from harness.validation.ranking import likely_cause
from harness.validation.report import Cause, Draw, ValidationReport
from harness.validation.subject import Subject, described, subject

CASES = 3
"""Failed draws that a cause has to explain, at most."""


def validate(
    fn: Function | Estimator | str,
    problem: str | Problem = "linear",
    vs: Reference = "implicit",
    *,
    lam: float | Params | None = None,
    steps: int | None = None,
    lr: float | str | None = None,
    inner: str | None = None,
    tol: float | None = None,
    seeds: int | Sequence[int] = 3,
    dtype: str | None = None,
    **parameters: Any,
) -> ValidationReport:
    """Run a meta-gradient function on seeded problems and compare it with the exact meta-gradient.

    Your function uses its own λ, K and α; say here which, so that the reference is that of the same inner problem:

        def my_gradient(problem, task, theta):
            ...  # minimise problem.inner_loss(phi, task.support) + λ/2 ‖phi − theta‖², differentiate problem.outer_loss
            return {name: ... for name in theta}

        report = harness.validate(my_gradient, problem="linear", vs="implicit", lam=0.1)
        print(report)
        assert report.passed

    Where it fails, the report names the likely cause if what the function returned matches what another λ, K, number
    of CG steps and so on would give, much better than it matches the reference.

    Args:
        fn: ``fn(problem, task, theta)`` returning the meta-gradient of one task as ``dict[str, Tensor]``; or an
            estimator, which brings its own λ, K, α and inner solver; or the name of a registered one.
        problem: Name of a registered problem, drawn anew for each seed, or a problem, of which the tasks are drawn.
        vs: ``implicit``: the gradient at the exact inner solution, which an implicit method reaches when its inner loop
            and its linear solve converge. ``backprop``: exact backprop through the same K steps.
        lam: λ. Needed for ``implicit``; 0 by default for ``backprop``.
        steps: K. Needed for ``backprop``; for ``implicit`` it helps to find the cause of a failure.
        lr: α. Needed for ``backprop``; ``"auto"`` is 1/(λ_max + λ), by default for ``implicit``.
        inner: The inner solver by its name, ``gd`` by default.
        tol: Largest relative error that passes. By default √ε of the dtype for ``backprop`` (1e-8 in float64, half of
            the digits: the arithmetic is the same, only rounding may differ), and for ``implicit`` 1e-6, which a
            converged method reaches, or √ε where that is larger.
        seeds: How many draws, or which.
        dtype: Of a problem given by name, ``float64`` by default.
        **parameters: Of the problem, and of the estimator where that is given by name.

    Raises:
        BadInput: Something asked for cannot be, or the reference does not exist. What the function does wrong is never
            an exception but a verdict.
    """
    if vs not in get_args(Reference):
        raise unknown("reference", vs, get_args(Reference))
    if dtype is not None:
        require_dtype(dtype)
    if tol is not None:
        require_positive("tol", tol)
    given = {"lam": lam, "steps": steps, "lr": lr, "inner": inner}
    given = {key: value for key, value in given.items() if value is not None}
    who, rest = subject(fn, vs, given, parameters)
    numbers = _seeds(seeds)
    name = problem if isinstance(problem, str) else type(problem).__name__
    kind = _dtype(first_draw(_problem(problem, numbers[0], dtype, rest), numbers[0], name)[1])
    tolerance = default_tolerance(vs, kind) if tol is None else float(tol)
    compared = [_compare(who, vs, _problem(problem, seed, dtype, rest), name, seed, tolerance) for seed in numbers]
    return ValidationReport(
        function=who.name,
        problem=described(name, rest),
        reference=vs,
        settings=who.shown,
        dtype=str(kind).removeprefix("torch."),
        tolerance=tolerance,
        draws=tuple(each.draw for each in compared),
        cause=_cause(compared, tolerance),
    )


def default_tolerance(vs: Reference, dtype: torch.dtype) -> float:
    """Relative error that passes: √ε against backprop (1e-8 in float64), at least 1e-6 against the exact solution."""
    half = 1e-8 * math.sqrt(torch.finfo(dtype).eps / torch.finfo(torch.float64).eps)
    return half if vs == "backprop" else max(1e-6, half)


def _seeds(seeds: int | Sequence[int]) -> Sequence[int]:
    """The seeds asked for."""
    numbers = range(seeds) if type(seeds) is int else seeds
    if not isinstance(numbers, Sequence) or not numbers or any(type(seed) is not int or seed < 0 for seed in numbers):
        raise BadInput(f"seeds: {seeds!r} is neither a number of draws nor a list of seeds")
    return numbers


def _problem(problem: str | Problem, seed: int, dtype: str | None, parameters: Mapping[str, Any]) -> Problem:
    """The problem of one draw."""
    if isinstance(problem, str):
        if "seed" in parameters:
            raise BadInput("seed: give seeds, of which every draw takes one")
        require_placeable(problem)
        if "device" in parameters:
            parameters = {**parameters, "device": resolve_device(parameters["device"])}
        return PROBLEMS.create(problem, dtype=dtype or "float64", seed=seed, **parameters)
    superfluous = [*parameters, *(["dtype"] if dtype else [])]
    if superfluous:
        raise BadInput(f"{', '.join(superfluous)}: the problem given has its own; leave it out, or give its name")
    return problem


def _dtype(theta: Params) -> torch.dtype:
    return next(iter(theta.values())).dtype


@dataclass(frozen=True)
class _Compared:
    """One draw: the verdict, and where it is off what its cause is, or may be looked for in."""

    draw: Draw
    case: Case | None = None
    cause: Cause | None = None


def _compare(who: Subject, vs: Reference, problem: Problem, name: str, seed: int, tolerance: float) -> _Compared:
    (task, theta), (own_task, _) = first_draw(problem, seed, name), first_draw(problem, seed, name)
    wide_task, wide_theta = in_float64(task, theta)
    lr = who.loop.lr
    try:
        with faults_of(problem, f"problem '{name}': its losses"):
            fault = derivative_fault(Objective.of(problem, wide_task, wide_theta, 0.0))
            if fault is not None:
                return _unfit(seed, "losses", f"{fault}; the function and the reference both rest on it")
            if lr == "auto":
                lr = Fomaml(1, lr, who.loop.lam).meta_gradient(problem, wide_task, wide_theta).diagnostics.lr
            reference = _reference(vs, problem, wide_task, wide_theta, who.loop, lr)
    except NoReference as error:
        raise NoReference(f"{error} (seed {seed})") from None
    try:
        grad = returned(who.function, problem, own_task, theta)
    except Unfit as unfit:
        return _unfit(seed, "output", str(unfit))
    found = agreement(grad, reference)
    draw = Draw(seed, found.relative_error <= tolerance, **asdict(found))
    if draw.passed:
        return _Compared(draw)
    layout = Layout.of(theta)
    case = Case(
        vs=vs,
        problem=problem,
        task=wide_task,
        theta=wide_theta,
        loop=who.loop,
        steps=who.steps,
        lr=lr,
        dtype=_dtype(theta),
        returned=layout.ravel(grad).double(),
        variation=_variation(grad, who.function, problem, own_task, theta),
        reference=layout.ravel(reference),
    )
    return _Compared(draw, case)


def _unfit(seed: int, kind: str, reason: str) -> _Compared:
    return _Compared(Draw(seed, False, reason=reason), cause=Cause(kind, reason))


def _reference(vs: Reference, problem: Problem, task: Task, theta: Params, loop: Estimator, lr: float) -> Params:
    """The reference, which is replay, but by the retained graph for an estimator that is replay itself."""
    if vs == "backprop" and isinstance(loop, MamlReplay):
        return Maml(loop.steps, lr, loop.lam, loop.inner, loop.tol).meta_gradient(problem, task, theta).grad
    return reference_gradient(vs, problem, task, theta, loop, lr)


def _variation(grad: Params, function: Function, problem: Problem, task: Task, theta: Params) -> float:
    """How far a second call is from the first."""
    try:
        return agreement(returned(function, problem, task, theta), grad).relative_error
    except Unfit:
        return math.inf


def _cause(compared: Sequence[_Compared], tolerance: float) -> Cause | None:
    cases = [each.case for each in compared if each.case is not None][:CASES]
    cause = next((each.cause for each in compared if each.cause is not None), None)
    return (likely_cause(cases, tolerance) if cases else None) or cause
