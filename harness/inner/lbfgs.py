"""Limited-memory BFGS."""

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.checks import require_count
from harness.inner.line_search import Directions, LineSearchSolver
from harness.linear_solvers.base import dot
from harness.objective import Objective


@dataclass(frozen=True)
class Lbfgs(LineSearchSolver):
    """φ ← φ − t B⁻¹ ∇G(φ), with B⁻¹ made of the last m changes of φ and ∇G (Nocedal 1980), t by backtracking.

    From B₀⁻¹ = (sᵀy/yᵀy) I, each pair s = φ' − φ, y = ∇G(φ') − ∇G(φ), oldest first, makes
    B⁻¹ ← (I − ρsyᵀ) B⁻¹ (I − ρysᵀ) + ρssᵀ with ρ = 1/sᵀy, applied to ∇G(φ) by the two-loop recursion. Until there is
    a pair B₀⁻¹ = αI: α is the size of the first step alone, and the others try t = 1 first.

    Costs one gradient a step and an inner loss for each t tried (mostly one), one loss at the start, and 4m inner
    products and sums of vectors; it holds 2m vectors beside some six of its own.

    Converges on a strongly convex, smooth G, linearly; in practice about as fast as conjugate gradients on a
    quadratic (Liu & Nocedal 1989). Where G is not convex, a pair whose sᵀy is not above rounding is left out, and it
    ends at a stationary point; at the kinks of ReLU, y is not a change by curvature and no rate holds.

    Args:
        memory: m, how many pairs are kept.

    Raises:
        BadInput: ``memory`` out of its range.
    """

    memory: int = 10

    def __post_init__(self) -> None:
        require_count("memory", self.memory)

    def memory_variables(self, steps: int) -> tuple[int, ...]:
        """Pairs held while a pair is taken in, and otherwise: K − 1 of them up to one above m, and up to m."""
        return min(steps - 1, self.memory + 1), min(steps - 1, self.memory)

    def directions(self, objective: Objective, lr: float) -> Directions:
        """−B⁻¹ ∇G(φ)."""
        return _InverseHessian(lr, deque(maxlen=self.memory)).direction


@dataclass
class _InverseHessian:
    """B⁻¹, as pairs of changes."""

    scale: float | Tensor
    """B₀⁻¹ as a multiple of the identity, shape (..., 1)."""
    pairs: deque[tuple[Tensor, Tensor, Tensor]]
    """s, y and ρ, shape (..., 1), oldest first; ρ is 0 for a task that leaves the pair out."""
    last: tuple[Tensor, Tensor] | None = None
    """φ and ∇G(φ) of the step before."""

    def direction(self, phi: Tensor, gradient: Tensor) -> Tensor:
        """−B⁻¹ ∇G(φ), after taking in the change since the last call."""
        if self.last is not None:
            self._take_in(phi - self.last[0], gradient - self.last[1])
        self.last = (phi, gradient)
        result, weights = -gradient, list[Tensor]()
        for s, y, rho in reversed(self.pairs):
            weights.append(rho * dot(s, result))
            result = torch.addcmul(result, weights[-1], y, value=-1)
        result = self.scale * result
        for s, y, rho in self.pairs:
            result = torch.addcmul(result, weights.pop() - rho * dot(y, result), s)
        return result

    def _take_in(self, s: Tensor, y: Tensor) -> None:
        curvature, squared, limits = dot(s, y), dot(y, y), torch.finfo(s.dtype)
        convex = curvature > (limits.eps * (dot(s, s).sqrt() * squared.sqrt())).clamp(min=limits.tiny)
        self.pairs.append((s, y, torch.where(convex, 1 / curvature, 0.0)))
        self.scale = torch.where(convex, curvature / squared, self.scale)
