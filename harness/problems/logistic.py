"""Regularised logistic regression: convex, smooth, not quadratic, and solved to rounding."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.bilevel import Task
from harness.checks import require_count, require_not_negative
from harness.errors import BadInput
from harness.problems.synthetic import Arrays, Data, Examples, Synthetic
from harness.pytree import Params

SMOOTH = 40.0
"""``F.softplus`` is linear from its threshold on: by default with a jump of 2e-9 in the slope, here of 4e-18."""
HALVINGS = 40
"""Of a Newton step, before it is given up."""


@dataclass(frozen=True, kw_only=True)
class LogisticRegression(Synthetic):
    """Two Gaussian classes told apart: L̂(w) = mean log(1 + exp(−y xᵀw)) + (regularisation / 2)‖w‖².

    Inputs, shape (n, dim), are normal with unit covariance around ±(separation / 2) u for targets y = ±1, shape (n,),
    half of each; the unit vector u is random in each task. The outer loss is the same without the regularisation. One
    vector of ``dim`` parameters, without an intercept.

    The exact implicit meta-gradient is no formula here: Newton's method solves the inner problem until rounding stops
    it, then one dense linear solve follows.

    Args:
        dim: Number of parameters.
        n: Examples in each of the two sets.
        separation: Distance of the class means, in standard deviations.
        regularisation: Strength of the ℓ2 term.
        dtype: Of everything returned.
    """

    size: ClassVar[tuple[str, ...]] = ("dim",)
    """Parameters that make the model larger, scaled together."""

    dim: int = 20
    n: int = 50
    separation: float = 2.0
    regularisation: float = 0.01
    dtype: str = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("dim", "n"):
            require_count(key, getattr(self, key))
        for key in ("separation", "regularisation"):
            require_not_negative(key, getattr(self, key))

    def inner_loss(self, params: Params, support: Data) -> Tensor:
        """Mean logistic loss with the ℓ2 term."""
        return self.outer_loss(params, support) + self.regularisation / 2 * params["w"].square().sum()

    def outer_loss(self, params: Params, query: Data) -> Tensor:
        """Mean logistic loss."""
        inputs, targets = query
        return F.softplus(-targets * (inputs @ params["w"]), threshold=SMOOTH).mean()

    def draw_theta(self, rng: np.random.Generator) -> Arrays:
        """``{"w": (dim,)}``, standard normal."""
        return {"w": rng.standard_normal(self.dim)}

    def draw_task(self, rng: np.random.Generator) -> tuple[Examples, Examples]:
        """Examples of the two classes, by turns."""
        direction = rng.standard_normal(self.dim)
        mean = self.separation / 2 * direction / np.linalg.norm(direction)
        targets = np.where(np.arange(self.n) % 2 == 0, 1.0, -1.0)

        def examples() -> Examples:
            return targets[:, None] * mean + rng.standard_normal((self.n, self.dim)), targets

        return examples(), examples()

    def inner_solution(self, task: Task, theta: Params, lam: float) -> Params:
        """The minimiser φ* of L̂(φ) + (λ/2)‖φ − θ‖², computed in float64, in the dtype of ``theta``.

        Raises:
            BadInput: λ is not above 0.
        """
        return {"w": self._solve(task, theta, lam).to(theta["w"].dtype)}

    def implicit_meta_gradient(self, task: Task, theta: Params, lam: float) -> Params:
        """λB⁻¹∇L(φ*) with B = ∇²L̂(φ*) + λI, computed in float64, in the dtype of ``theta``.

        Raises:
            BadInput: λ is not above 0.
        """
        phi = self._solve(task, theta, lam)
        operator = _damped(_Logistic.of(task.support).hessian(phi), self.regularisation + lam)
        gradient = lam * torch.linalg.solve(operator, _Logistic.of(task.query).gradient(phi))
        return {"w": gradient.to(theta["w"].dtype)}

    def _solve(self, task: Task, theta: Params, lam: float) -> Tensor:
        if not lam > 0:
            raise BadInput(f"lam: {lam!r} is not above 0, as the implicit gradient needs")
        support, start = _Logistic.of(task.support), theta["w"].detach().double()
        return newton(
            lambda w: support.gradient(w) + self.regularisation * w + lam * (w - start),
            lambda w: _damped(support.hessian(w), self.regularisation + lam),
            start,
        )


def newton(gradient: Callable[[Tensor], Tensor], hessian: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """The minimiser of a strongly convex function, shape (n,), as well as rounding lets it be known.

    A step is halved until the gradient's norm falls by at least a quarter of what it would on a quadratic; where no
    step does, rounding is all that is left.
    """
    point, slope = start, gradient(start)
    while True:
        step = torch.linalg.solve(hessian(point), slope)
        for halvings in range(HALVINGS):
            length = 0.5**halvings
            trial = point - length * step
            trial_slope = gradient(trial)
            if trial_slope.norm() < (1 - length / 4) * slope.norm():
                break
        else:
            return point
        point, slope = trial, trial_slope


@dataclass(frozen=True)
class _Logistic:
    """The mean of log(1 + exp(−zᵀw)) over the rows z = y x."""

    rows: Tensor
    """Shape (n, dim), float64."""

    @classmethod
    def of(cls, data: Data) -> "_Logistic":
        inputs, targets = data
        return cls(targets.double()[:, None] * inputs.double())

    def gradient(self, w: Tensor) -> Tensor:
        return -torch.sigmoid(-self.rows @ w) @ self.rows / len(self.rows)

    def hessian(self, w: Tensor) -> Tensor:
        margin = self.rows @ w
        weights = torch.sigmoid(margin) * torch.sigmoid(-margin)
        return (self.rows.T * weights) @ self.rows / len(self.rows)


def _damped(matrix: Tensor, strength: float) -> Tensor:
    return matrix + strength * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
