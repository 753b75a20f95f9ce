"""What accuracy is measured against: the exact meta-gradient, in the two senses of exact."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from harness.bilevel import ClosedForm, Problem, Task
from harness.cell import Reference
from harness.errors import BadInput
from harness.estimators import Estimator
from harness.estimators.replay import MamlReplay
from harness.inner import DifferentiableSolver
from harness.inner.line_search import backtrack
from harness.linear_solvers import ConjugateGradient, Operator, extreme_eigenvalues
from harness.objective import Objective
from harness.pytree import Params

SOLVED = 1e-10
"""‖∇G(φ)‖ / ‖∇G(θ)‖ at which the inner problem counts as solved."""
BEST = 1e-13
"""The same ratio at which trying to solve it better ends."""
NEWTON_STEPS = 200
PATIENCE = 10
"""Newton steps in a row that do not halve the residual before it is given up."""
NEWTON_CG_STEPS = 500
"""Most CG steps for one of them."""
DENSE_SIZE = 2000
"""Most parameters for a dense Hessian."""
LINEAR_TOLERANCE = 1e-12
"""‖b − Bx‖ / ‖b‖ to which CG solves where the Hessian is not dense."""
CG_STEPS = 5000
PROBES = 100
"""CG steps that look for negative curvature from a random vector, as many of Lanczos would."""


class NoReference(BadInput):
    """The exact meta-gradient asked for does not exist, or cannot be had to the accuracy a reference needs."""


def reference_gradient(
    kind: Reference, problem: Problem, task: Task, theta: Params, estimator: Estimator, lr: float
) -> Params:
    """The exact meta-gradient of one task in float64, for the inner problem ``estimator`` solved with step size ``lr``.

    ``backprop``: through the same steps of the same inner solver that ``estimator`` takes, as many as its tolerance
    lets it take; by replay, so that the reference never needs memory the estimator did not. ``implicit``: at the
    exact minimiser of the inner objective (paper, Definition 3), by the problem's closed form or as
    :func:`implicit_gradient` does it.

    Data and θ of a lower precision are taken as they are and computed with in float64.

    Raises:
        NoReference: There is none, or it is not finite. Of ``backprop``: the inner solver's steps cannot be
            differentiated. Of ``implicit``: λ = 0; or, without a closed form, the inner problem cannot be solved to
            1e-10, or its Hessian at the solution is not positive definite.
    """
    require_references([kind], estimator)
    grad = _reference_gradient(kind, problem, *in_float64(task, theta), estimator, lr)
    if not all(bool(tensor.isfinite().all()) for tensor in grad.values()):
        cause = {
            "backprop": f"within K = {estimator.steps} steps of lr = {lr:.4g} the inner loop diverges, or a loss has "
            "no derivative; take a smaller lr",
            "implicit": "a loss has no finite derivative at the inner solution",
        }[kind]
        raise NoReference(f"reference '{kind}' is not finite: {cause}")
    return grad


def _reference_gradient(
    kind: Reference, problem: Problem, task: Task, theta: Params, estimator: Estimator, lr: float
) -> Params:
    if kind == "backprop":
        exact = MamlReplay(estimator.steps, lr, estimator.lam, estimator.inner, estimator.tol)
        return exact.meta_gradient(problem, task, theta).grad
    if isinstance(problem, ClosedForm) and not isinstance(estimator.lam, dict):
        return problem.implicit_meta_gradient(task, theta, estimator.lam)
    objective = Objective.of(problem, task, theta, estimator.lam)
    return objective.layout.unravel(implicit_gradient(objective, estimator.descend(objective, lr).phi))


def require_references(kinds: Iterable[Reference], estimator: Estimator) -> None:
    """Raise :class:`NoReference` if one of the references cannot exist, as far as can be told without computing it."""
    for kind in kinds:
        if kind == "backprop" and not isinstance(estimator.solver, DifferentiableSolver):
            raise NoReference(
                f"reference 'backprop': the steps of inner solver '{estimator.inner}' cannot be differentiated; "
                "use 'implicit'"
            )
        if kind == "implicit" and not isinstance(estimator.lam, dict) and not estimator.lam > 0:
            raise NoReference(
                f"reference 'implicit': lam = {estimator.lam!r}; without a proximal term the inner solution does not "
                "depend on theta; use 'backprop' or lam > 0"
            )


def in_float64(task: Task, theta: Params) -> tuple[Task, Params]:
    """The same numbers, every floating point tensor of them in float64."""

    def widen(leaf: Any) -> Any:
        return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    data = Task(pytree.tree_map(widen, task.support), pytree.tree_map(widen, task.query))
    return data, {name: tensor.detach().double() for name, tensor in theta.items()}


def implicit_gradient(objective: Objective, start: Tensor | None = None) -> Tensor:
    """d/dθ L(φ*(θ)) = λ ∇²G(φ*)⁻¹ ∇L(φ*), shape (n,), with φ* as :func:`inner_minimiser` finds it.

    Raises:
        NoReference: There is no minimiser to be found, or ∇²G is not positive definite there.
    """
    phi = inner_minimiser(objective, start)
    return objective.lam * _solve(objective.curvature(phi), objective.query_gradient(phi)[1])


def inner_minimiser(objective: Objective, start: Tensor | None = None) -> Tensor:
    """A stationary point φ* of G with ‖∇G(φ*)‖ ≤ 1e-10 ‖∇G(θ)‖, shape (n,), by Newton's method with a line search.

    Directions come from CG, solved the better the nearer the solution, so that convergence is quadratic; at negative
    curvature they still descend. Where G has several minima, that of the basin ``start`` lies in is found, as a rule:
    give the φ_K of the inner loop whose limit is asked for.

    Args:
        objective: G of one task, in float64.
        start: Where to begin; θ by default, and where G is lower at θ.

    Raises:
        NoReference: It does not get there; says how far it got.
    """
    scale = float(objective.gradient(objective.theta).norm())
    phi = objective.theta
    value = objective.value(phi)
    if start is not None and (start_value := objective.value(start)) < value:
        phi, value = start, start_value
    best, best_phi, stalled = math.inf, phi, 0
    for _ in range(NEWTON_STEPS if scale > 0.0 else 0):
        gradient = objective.gradient(phi)
        residual = float(gradient.norm()) / scale
        stalled = 0 if residual < best / 2 else stalled + 1
        if residual < best:
            best, best_phi = residual, phi
        if best <= BEST or stalled >= (PATIENCE if best > SOLVED else 1):
            break
        direction = _newton_direction(objective.curvature(phi), gradient, min(0.1, residual))
        phi, value = backtrack(objective, phi, value, gradient, direction)
    if scale > 0.0 and not best <= SOLVED:
        raise NoReference(
            f"reference 'implicit': the inner problem cannot be solved: its gradient falls to {best:.1e} of its norm "
            f"at theta, {SOLVED:.0e} is needed; kinks (ReLU) keep it from converging: take activation = 'tanh', or a "
            "larger lam"
        )
    return best_phi


def _newton_direction(curvature: Operator, gradient: Tensor, tol: float) -> Tensor:
    """A descent direction: −B⁻¹∇G by CG up to where it meets negative curvature, if that is not at once."""
    newton = ConjugateGradient(min(len(gradient), NEWTON_CG_STEPS), tol).solve(curvature, -gradient).x
    if float(newton.dot(gradient)) < 0.0:
        return newton
    return -gradient * (gradient.dot(gradient) / gradient.dot(curvature(gradient)).abs())


def _solve(curvature: Operator, rhs: Tensor) -> Tensor:
    """B⁻¹ b for B = ∇²G(φ*), which is checked to be positive definite."""
    if len(rhs) <= DENSE_SIZE:
        matrix = torch.stack([curvature(column) for column in torch.eye(len(rhs), dtype=rhs.dtype, device=rhs.device)])
        factor, failed = torch.linalg.cholesky_ex((matrix + matrix.mT) / 2)
        if bool(failed):
            raise _indefinite(lambda v: matrix @ v, rhs)
        return torch.cholesky_solve(rhs[:, None], factor)[:, 0]
    probe = torch.randn(len(rhs), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(rhs)
    solution = ConjugateGradient(CG_STEPS, LINEAR_TOLERANCE).solve(curvature, rhs)
    if bool(solution.negative_curvature | ConjugateGradient(PROBES).solve(curvature, probe).negative_curvature):
        raise _indefinite(curvature, rhs)
    if not bool(solution.converged):
        raise NoReference(
            f"reference 'implicit': CG ends at a relative residual of {float(solution.residuals[-1]):.1e}, "
            f"{LINEAR_TOLERANCE:.0e} is needed: the inner problem is ill-conditioned; take a larger lam"
        )
    return solution.x


def _indefinite(operator: Callable[[Tensor], Tensor], like: Tensor) -> NoReference:
    smallest = extreme_eigenvalues(operator, like, min(len(like), PROBES))[0]
    return NoReference(
        "reference 'implicit': the inner objective's Hessian is not positive definite where its gradient vanishes "
        f"(smallest eigenvalue about {smallest:.2g}): no minimiser there depends smoothly on theta; take a larger lam"
    )
