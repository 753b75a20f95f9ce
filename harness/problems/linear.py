"""Linear regression with closed forms: the oracle every estimator is held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from harness.bilevel import Task
from harness.checks import is_number, require_count, require_dtype, require_not_negative, require_seed
from harness.errors import BadInput
from harness.pytree import Params

Data = tuple[Tensor, Tensor]
"""Inputs (n, dim) and targets (n,)."""


@dataclass(frozen=True)
class LinearRegression:
    """Least squares with a chosen spectrum: L̂(φ) = ‖Xφ − y‖² / 2n, and the same on the query set.

    With A = XᵀX/n and b = Xᵀy/n, the Hessian A of every task's support set has exactly the eigenvalues
    geomspace(1/κ, 1) in a random basis of its own. Query inputs are Gaussian with covariance A, so both sets come from
    one distribution while their Hessians do not commute.

    Args:
        dim: Number of parameters.
        n: Examples in each of the two sets; at least ``dim``.
        kappa: Condition number of A.
        noise: Standard deviation of the noise on the targets.
        dtype: Of everything returned. Values are drawn in float64 and rounded.
        device: Where the tensors live.
        seed: Draws θ.
    """

    size: ClassVar[tuple[str, ...]] = ("dim", "n")
    """Parameters that make the model larger, scaled together."""

    dim: int = 50
    n: int = 100
    kappa: float = 100.0
    noise: float = 0.1
    dtype: str = "float64"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        require_count("dim", self.dim)
        require_count("n", self.n)
        if self.dim > self.n:
            raise BadInput(f"n: {self.n!r} examples are fewer than dim = {self.dim!r}")
        if not is_number(self.kappa) or self.kappa < 1:
            raise BadInput(f"kappa: {self.kappa!r} is not a condition number >= 1")
        require_not_negative("noise", self.noise)
        require_dtype(self.dtype)
        require_seed("seed", self.seed)

    def theta(self) -> Params:
        """``{"w": (dim,)}``, standard normal; on the device ``meta``, without values."""
        if self.device == "meta":
            return {"w": self._empty(self.dim)}
        return {"w": self._tensor(np.random.default_rng([self.seed, 0]).standard_normal(self.dim))}

    def inner_loss(self, params: Params, support: Data) -> Tensor:
        """‖Xφ − y‖² / 2n."""
        inputs, targets = support
        return (inputs @ params["w"] - targets).square().mean() / 2

    def outer_loss(self, params: Params, query: Data) -> Tensor:
        """The same on the query set."""
        return self.inner_loss(params, query)

    def tasks(self, n: int, seed: int) -> Sequence[Task]:
        """``n`` tasks, each with a basis, a solution and noise of its own; on the device ``meta``, without values."""
        if self.device == "meta":
            data = self._empty(self.n, self.dim), self._empty(self.n)
            return [Task(data, data) for _ in range(n)]
        return [self._task(np.random.default_rng([seed, index, 1])) for index in range(n)]

    def _task(self, rng: np.random.Generator) -> Task:
        scale = np.sqrt(np.geomspace(1 / self.kappa, 1, self.dim))
        basis = np.linalg.qr(rng.standard_normal((self.dim, self.dim)))[0]
        orthonormal = np.linalg.qr(rng.standard_normal((self.n, self.dim)))[0]
        solution = rng.standard_normal(self.dim)
        support = np.sqrt(self.n) * (orthonormal * scale) @ basis.T
        query = (rng.standard_normal((self.n, self.dim)) * scale) @ basis.T
        return Task(*(self._data(inputs, solution, rng) for inputs in (support, query)))

    def _data(self, inputs: np.ndarray, solution: np.ndarray, rng: np.random.Generator) -> Data:
        targets = inputs @ solution + self.noise * rng.standard_normal(self.n)
        return self._tensor(inputs), self._tensor(targets)

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=getattr(torch, self.dtype), device=self.device)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(device=self.device, dtype=getattr(torch, self.dtype))

    def implicit_meta_gradient(self, task: Task, theta: Params, lam: float) -> Params:
        """λB⁻¹ g(φ*) with B = A + λI, φ* = B⁻¹(b + λθ) and g(φ) = A_t φ − b_t of the query set, in the task's dtype."""
        support, query = Quadratic.of(task.support), Quadratic.of(task.query)
        regularised = support.hessian + lam * torch.eye(self.dim, dtype=theta["w"].dtype, device=theta["w"].device)
        phi = torch.linalg.solve(regularised, support.linear + lam * theta["w"])
        return {"w": lam * torch.linalg.solve(regularised, query.gradient(phi))}

    def unrolled_meta_gradient(self, task: Task, theta: Params, lam: float, lr: float, steps: int) -> Params:
        """(J + Mᴷ(I − J)) g(φ_K) with J = λB⁻¹, M = I − αB and φ_K = φ* + Mᴷ(θ − φ*): gradient descent, K steps.

        For λ = 0 (and A positive definite) it is (I − αA)ᴷ g(φ_K).
        """
        support, query = Quadratic.of(task.support), Quadratic.of(task.query)
        identity = torch.eye(self.dim, dtype=theta["w"].dtype, device=theta["w"].device)
        regularised = support.hessian + lam * identity
        solution = torch.linalg.solve(regularised, support.linear + lam * theta["w"])
        limit = lam * torch.linalg.inv(regularised)
        decay = torch.linalg.matrix_power(identity - lr * regularised, steps)
        phi = solution + decay @ (theta["w"] - solution)
        return {"w": (limit + decay @ (identity - limit)) @ query.gradient(phi)}


@dataclass(frozen=True)
class Quadratic:
    """φᵀAφ/2 − bᵀφ, what a least-squares loss is up to a constant."""

    hessian: Tensor
    """A = XᵀX/n, shape (dim, dim)."""
    linear: Tensor
    """b = Xᵀy/n, shape (dim,)."""

    @classmethod
    def of(cls, data: Data) -> "Quadratic":
        """The quadratic of a data set."""
        inputs, targets = data
        return cls(inputs.T @ inputs / len(inputs), inputs.T @ targets / len(inputs))

    def gradient(self, phi: Tensor) -> Tensor:
        """Aφ − b."""
        return self.hessian @ phi - self.linear
