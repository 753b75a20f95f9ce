"""The implicit method's linear system at one φ, and what inexact or wrong solves of it give."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.linear_solvers import ConjugateGradient, Minres, Operator
from harness.linear_solvers.lanczos import spectral_interval
from harness.linear_solvers.neumann import ESTIMATE_PRODUCTS
from harness.objective import Strength

LINEAR_STEPS = 100
"""Most dimensions of a Krylov space; a fifth where there are many parameters."""
SMALL = 10_000
"""Parameters that are not many."""
CG_STEPS = 1000
"""Most steps of a solve that is meant to be exact."""
CG_TOLERANCE = 1e-14
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

    def normal(self, steps: int) -> Tensor:
        """The solution after some CG steps on the normal equations, (I + S)² z = (I + S) b."""
        once = self.operator()
        return ConjugateGradient(steps).solve(lambda z: once(once(z)), once(self.rhs)).x * self.root

    def minres(self, steps: int) -> Tensor:
        """The solution after some MINRES (or GMRES) steps, by :attr:`krylov`."""
        return self.krylov.vector(self.krylov.minres(steps)) * self.root

    @cached_property
    def inverse_radius(self) -> float:
        """1 / ‖I + S‖, as an estimator's η = "auto" has it."""
        ends = spectral_interval(self.operator(), self.rhs, ESTIMATE_PRODUCTS)
        return 1 / max(abs(float(each)) for each in ends)

    def neumann(self, terms: int, step: float | None = None) -> Tensor:
        """The Neumann series of so many terms, with η = ``step``, by default :attr:`inverse_radius`."""
        operator, step = self.operator(), step or self.inverse_radius
        z, residual = torch.zeros_like(self.rhs), self.rhs
        for _ in range(terms):
            z, residual = z + step * residual, residual - step * operator(residual)
        return z * self.root

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

    @cached_property
    def krylov(self) -> "Krylov":
        """The Krylov space of S and b."""
        most = LINEAR_STEPS if len(self.gradient) <= SMALL else LINEAR_STEPS // 5
        return Krylov.of(self.scaled, self.rhs, most)


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
        if not factor:
            slope = head - self.rhs[:steps]
            return -float(right.dot(slope) / slope.dot(slope)), 1.0
        if steps == 1:
            return math.nan, math.nan
        multiple = -float(right[1:].dot(head[1:]) / head[1:].dot(head[1:]))
        scaled = float(right[0] + multiple * head[0]) / self.norm
        return multiple, scaled / multiple if multiple else math.nan

    def cg(self, steps: int, multiple: float = 1.0, factor: float = 1.0) -> Tensor:
        """Coordinates of what CG on (I + S/μ) z = c b reaches in so many steps, if it goes on at negative curvature."""
        steps = min(steps, len(self))
        shifted = self.matrix[:steps, :steps] + multiple * self._identity[:steps, :steps]
        return torch.linalg.solve(shifted, factor * multiple * self.rhs[:steps])

    def minres(self, steps: int) -> Tensor:
        """Coordinates of what MINRES on (I + S) z = b reaches in so many steps."""
        steps = min(steps, len(self))
        rows = min(steps + 1, len(self))
        shifted = (self.matrix + self._identity)[:rows, :steps]
        return torch.linalg.lstsq(shifted, self.rhs[:rows, None]).solution[:, 0]

    def normal(self) -> Iterator[tuple[int, Tensor]]:
        """Pairs of t and the coordinates after t CG steps on (I + S)² z = (I + S) b, as long as they are exact."""
        shifted = self.matrix + self._identity
        squared, right = shifted @ shifted, shifted @ self.rhs
        for t in range(1, max(1, len(self) // 2) + 1):
            yield t, ConjugateGradient(t).solve(lambda y: squared @ y, right).x

    def neumann(self, step: float) -> Iterator[tuple[int, Tensor]]:
        """Pairs of J and the coordinates of a Neumann series of J terms."""
        shifted = self.matrix + self._identity
        y, residual = torch.zeros_like(self.rhs), self.rhs
        for terms in range(1, LINEAR_STEPS + 1):
            y, residual = y + step * residual, residual - step * (shifted @ residual)
            yield terms, y

    def vector(self, y: Tensor) -> Tensor:
        """V y, of the first coordinates."""
        return self.basis[: len(y)].T @ y

    def nearest(self, z: Tensor, candidates: Iterable[tuple[int, Tensor]]) -> int | None:
        """The number whose coordinates are nearest to a vector, relative to their own length."""
        target = self.coordinates(z)
        outside = float((z - self.vector(target)).norm())

        def distance(y: Tensor) -> float:
            padded = torch.nn.functional.pad(y, (0, len(target) - len(y)))
            found = math.hypot(outside, float((target - padded).norm())) / float(y.norm())
            return found if math.isfinite(found) else math.inf

        distances = {number: distance(y) for number, y in candidates}
        return min(distances, key=distances.__getitem__, default=None)

    def spectrum(self) -> tuple[Tensor, Tensor, Tensor]:
        """Ritz values, ‖b‖ times the first row of their vectors, and the vectors."""
        values, vectors = torch.linalg.eigh(self.matrix)
        return values, self.norm * vectors[0], vectors

    @property
    def rhs(self) -> Tensor:
        """Coordinates of b."""
        rhs = self.basis.new_zeros(len(self))
        rhs[0] = self.norm
        return rhs

    @property
    def _identity(self) -> Tensor:
        return torch.eye(len(self), dtype=self.matrix.dtype, device=self.matrix.device)
