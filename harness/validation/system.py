"""The implicit method's linear system at one φ, and what inexact or wrong solves of it give."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.linear_solvers import ConjugateGradient, Minres, Operator
from harness.linear_solvers.lanczos import spectral_interval
from harness.linear_solvers.neumann import ESTIMATE_PRODUCTS
from harness.objective import Strength

LINEAR_STEPS = 100
"""Most iterates of a linear solver looked at; a fifth where there are many parameters."""
SMALL = 10_000
"""Parameters that are not many."""
CG_STEPS = 1000
"""Most steps of a solve that is meant to be exact."""
CG_TOLERANCE = 1e-11
ENDED = 1e-10
"""Relative length of a new Lanczos vector at which the Krylov space has ended."""


@dataclass(frozen=True)
class System:
    """(H + λ) x = λ g, taken as (I + S) z = b with S = Λ^-½ H Λ^-½, b = Λ^-½ g, x = Λ^½ z.

    A multiple μ of λ is (I + S/μ) z = b, a factor c takes c b for b.
    """

    hessian: Operator
    lam: Strength
    gradient: Tensor
    """g = ∇L(φ)."""

    @property
    def root(self) -> float | Tensor:
        """Λ^½."""
        return self.lam.sqrt() if isinstance(self.lam, Tensor) else math.sqrt(self.lam)

    @cached_property
    def rhs(self) -> Tensor:
        """B."""
        return self.gradient / self.root

    def scaled(self, z: Tensor) -> Tensor:
        """S z."""
        return self.hessian(z / self.root) / self.root

    def operator(self, multiple: float = 1.0) -> Operator:
        """Z ↦ (I + S/μ) z."""
        return lambda z: z + self.scaled(z) / multiple

    def exact(self, multiple: float = 1.0, factor: float = 1.0) -> Tensor:
        """The solution."""
        solver = (ConjugateGradient if multiple > 0 else Minres)(CG_STEPS, CG_TOLERANCE)
        return factor * solver.solve(self.operator(multiple), self.rhs).x * self.root

    def cg(self, steps: int) -> Tensor:
        """The solution after some CG steps."""
        return ConjugateGradient(steps).solve(self.operator(), self.rhs).x * self.root

    def cg_iterates(self, most: int) -> Iterator[tuple[int, Tensor]]:
        """Pairs of t and the solution after t CG steps, until they are exact or meet negative curvature."""
        for t, z in _cg_iterates(self.operator(), self.rhs, most):
            yield t, z * self.root

    def normal(self, steps: int) -> Tensor:
        """The solution after some CG steps on the normal equations, (I + S)² z = (I + S) b."""
        once = self.operator()
        return ConjugateGradient(steps).solve(lambda z: once(once(z)), once(self.rhs)).x * self.root

    def normal_iterates(self, most: int) -> Iterator[tuple[int, Tensor]]:
        """As :meth:`cg_iterates`, on the normal equations."""
        once = self.operator()
        for t, z in _cg_iterates(lambda z: once(once(z)), once(self.rhs), most):
            yield t, z * self.root

    def minres(self, steps: int) -> Tensor:
        """The solution after some MINRES (or GMRES) steps, by :attr:`krylov`."""
        return self.krylov.least_residual(steps) * self.root

    def minres_iterates(self, most: int) -> Iterator[tuple[int, Tensor]]:
        """Pairs of t and the solution after t of them."""
        yield from ((t, self.minres(t)) for t in range(1, min(most, len(self.krylov)) + 1))

    def neumann_iterates(self, most: int, step: float | None = None) -> Iterator[tuple[int, Tensor]]:
        """Pairs of J and the Neumann series of J terms with η = ``step``, by default 1 over the spectral radius."""
        operator = self.operator()
        if step is None:
            ends = spectral_interval(operator, self.rhs, ESTIMATE_PRODUCTS)
            step = 1 / max(abs(float(each)) for each in ends)
        z, residual = torch.zeros_like(self.rhs), self.rhs
        for terms in range(1, most + 1):
            z = z + step * residual
            residual = residual - step * operator(residual)
            yield terms, z * self.root

    def neumann(self, terms: int, step: float | None = None) -> Tensor:
        """The Neumann series of so many terms."""
        return dict(self.neumann_iterates(terms, step))[terms]

    def residual(self, x: Tensor) -> float:
        """‖(H + λ) x − λ g‖ / ‖λ g‖: one product tells whether x solves the system."""
        right = self.lam * self.gradient
        return float((self.hessian(x) + self.lam * x - right).norm() / right.norm())

    def multiple(self, x: Tensor) -> float:
        """The multiple μ of λ with which x solves the system best: H x + μ λ (x − g) = 0 by least squares."""
        slope = self.lam * (x - self.gradient)
        return -float(self.hessian(x).dot(slope) / slope.dot(slope))

    def multiple_and_factor(self, x: Tensor) -> tuple[float, float]:
        """μ and c with which H x + μ λ x − c μ λ g = 0 holds best."""
        columns = torch.stack([self.lam * x, -self.lam * self.gradient], dim=1)
        multiple, product = torch.linalg.lstsq(columns, -self.hessian(x)[:, None]).solution[:, 0].tolist()
        return multiple, product / multiple if multiple else math.nan

    @property
    def most(self) -> int:
        """Most iterates of a linear solver looked at, and dimensions of :attr:`krylov`."""
        return LINEAR_STEPS if len(self.gradient) <= SMALL else LINEAR_STEPS // 5

    @cached_property
    def krylov(self) -> "Krylov":
        """The Krylov space of S and b."""
        return Krylov.of(self.scaled, self.rhs, self.most)


def _cg_iterates(operator: Operator, rhs: Tensor, most: int) -> Iterator[tuple[int, Tensor]]:
    z, residual, direction = torch.zeros_like(rhs), rhs, rhs
    squared = start = rhs.dot(rhs)
    for t in range(1, most + 1):
        product = operator(direction)
        curvature = direction.dot(product)
        if not bool((curvature > 0) & (squared > CG_TOLERANCE**2 * start)):
            return
        length = squared / curvature
        z, residual = z + length * direction, residual - length * product
        previous, squared = squared, residual.dot(residual)
        direction = residual + squared / previous * direction
        yield t, z


@dataclass(frozen=True)
class Krylov:
    """Orthonormal V with S V = V T + …, T tridiagonal and V₁ = b / ‖b‖.

    Every polynomial in S of degree below t applied to b lies in the first t columns, whatever λ and whatever factor:
    CG on (I + S/μ) z = c b is there the solution of a t × t system.
    """

    basis: Tensor
    """Vᵀ, shape (m, n)."""
    matrix: Tensor
    """T, shape (m, m)."""
    norm: float
    """‖b‖."""

    @classmethod
    def of(cls, operator: Operator, rhs: Tensor, most: int) -> "Krylov":
        """By Lanczos with full reorthogonalisation, until ``most`` or the end of the space."""
        size = min(most, len(rhs))
        basis, matrix = rhs.new_zeros(size, len(rhs)), rhs.new_zeros(size, size)
        vector, scale = rhs / rhs.norm(), 0.0
        for k in range(size):
            basis[k] = vector
            product = operator(vector)
            spanned = basis[: k + 1]
            matrix[k, k] = product.dot(vector)
            scale = max(scale, float(product.norm()))
            for _ in range(2):
                product = product - spanned.T @ (spanned @ product)
            length = float(product.norm())
            if k + 1 == size or length <= ENDED * scale:
                return cls(basis[: k + 1], matrix[: k + 1, : k + 1], float(rhs.norm()))
            matrix[k, k + 1] = matrix[k + 1, k] = length
            vector = product / length
        raise AssertionError("a vector has at least one entry")

    def __len__(self) -> int:
        return len(self.basis)

    def coordinates(self, z: Tensor) -> Tensor:
        """Vᵀz."""
        return self.basis @ z

    def fitted(self, y: Tensor, steps: int, *, factor: bool) -> tuple[float, float]:
        """μ and c of the CG run of so many steps that y, in coordinates, is nearest to; c = 1 unless ``factor``.

        (T + μ) y = c μ ‖b‖ e₁ by least squares.
        """
        head = y[:steps]
        right = self.matrix[:steps, :steps] @ head
        first = torch.zeros_like(head)
        first[0] = self.norm
        if not factor:
            slope = head - first
            return -float(right.dot(slope) / slope.dot(slope)), 1.0
        if steps == 1:
            return math.nan, math.nan
        multiple = -float(right[1:].dot(head[1:]) / head[1:].dot(head[1:]))
        scaled = float(right[0] + multiple * head[0]) / self.norm
        return multiple, scaled / multiple if multiple else math.nan

    def cg(self, steps: int, multiple: float, factor: float) -> Tensor:
        """The z that CG on (I + S/μ) z = c b reaches in so many steps if it goes on at negative curvature."""
        steps = min(steps, len(self))
        right = self.basis.new_zeros(steps)
        right[0] = factor * multiple * self.norm
        shifted = self.matrix[:steps, :steps] + multiple * torch.eye(steps, dtype=right.dtype, device=right.device)
        return self.basis[:steps].T @ torch.linalg.solve(shifted, right)

    def least_residual(self, steps: int) -> Tensor:
        """The z that MINRES on (I + S) z = b reaches in so many steps."""
        steps = min(steps, len(self))
        rows = min(steps + 1, len(self))
        shifted = (self.matrix + torch.eye(len(self), dtype=self.matrix.dtype, device=self.matrix.device))[
            :rows, :steps
        ]
        right = self.basis.new_zeros(rows, 1)
        right[0] = self.norm
        return self.basis[:steps].T @ torch.linalg.lstsq(shifted, right).solution[:, 0]

    def spectrum(self) -> tuple[Tensor, Tensor, Tensor]:
        """Ritz values, ‖b‖ times the first row of their vectors, and the vectors."""
        values, vectors = torch.linalg.eigh(self.matrix)
        return values, self.norm * vectors[0], vectors
