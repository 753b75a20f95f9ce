"""Nyström approximation (Hataya & Yamada 2023)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.checks import require_count, require_not_negative, require_positive, require_seed
from harness.errors import unknown
from harness.linear_solvers.base import LinearSolution, LinearSolver, Operator, dot, goal, relative
from harness.linear_solvers.eigen import symmetric_eigen

SKETCHES = ("gaussian", "columns")


@dataclass(frozen=True)
class Nystrom(LinearSolver):
    """x = (Ĥ + ρI)⁻¹ b with Ĥ = (HΩ)(ΩᵀHΩ)⁺(HΩ)ᵀ, the Nyström approximation of H = B − ρI from a sketch Ω (n × rank).

    Exact once ``rank`` reaches the rank of H. For H positive semidefinite with eigenvalues λ_1 ≥ λ_2 ≥ … a Gaussian
    sketch of 2k − 1 columns errs on average by ‖H − Ĥ‖ ≤ 3 λ_k + (4e²/k) Σ_{j≥k} λ_j, k ≥ 2, and the solution by at
    most ‖H − Ĥ‖/ρ relative to x*.

    Woodbury's formula as usually written loses digits faster than κ = ‖H‖/ρ grows. Here an eigendecomposition
    Ĥ = U Λ Uᵀ gives x = U (Λ + ρ)⁻¹ Uᵀb + (b − U Uᵀb)/ρ, right to about κ eps; the core ΩᵀHΩ is inverted on its
    eigenvalues above rank · eps in relative size.

    Costs rank + 1 products, the last for the residual alone, and about four blocks of ``rank`` vectors; on a GPU it
    waits for the device. The sketch depends on seed and device alone, not on the dtype or the system.

    Poor for an H whose eigenvalues beyond ``rank`` are not small beside ρ. For an indefinite H no bound holds: a core
    with eigenvalues of both signs can be nearly singular by cancellation. ``negative_curvature`` says that Ĥ + ρI
    is not positive definite: proof where ΩᵀBΩ = Ωᵀ(Ĥ + ρI)Ω shows it, evidence elsewhere. ``diverged`` says that x is
    further from solving the system than x = 0: what the rank leaves out of H outweighs the shift.

    Source: Hataya & Yamada, "Nyström method for accurate and scalable implicit differentiation", AISTATS 2023; bound
    and Gaussian sketch: Frangella, Tropp & Udell, "Randomized Nyström preconditioning", 2021, section 2.

    Args:
        rank: Columns of the sketch; more than n is n.
        shift: ρ, the multiple of the identity in B = H + ρI; 1 for I + H/λ.
        sketch: ``"gaussian"``, or ``"columns"``: random columns of H, as Hataya & Yamada take.
        seed: Of the sketch.
        tol: Relative residual up to which the solution counts as converged.

    Raises:
        BadInput: A parameter out of its range.
    """

    rank: int
    shift: float = 1.0
    sketch: Literal["gaussian", "columns"] = "gaussian"
    seed: int = 0
    tol: float = 0.0

    def __post_init__(self) -> None:
        require_count("rank", self.rank)
        require_positive("shift", self.shift)
        require_not_negative("tol", self.tol)
        require_seed("seed", self.seed)
        if self.sketch not in SKETCHES:
            raise unknown("sketch", self.sketch, SKETCHES)

    def solve(self, operator: Operator, rhs: Tensor) -> LinearSolution:
        """Solve ``operator(x) = rhs``."""
        basis, values = self._approximate(operator, rhs)
        coefficients = (basis.mT @ rhs[..., None])[..., 0]
        inside = (basis @ (coefficients / (values + self.shift))[..., None])[..., 0]
        x = inside + (rhs - (basis @ coefficients[..., None])[..., 0]) / self.shift
        residual = rhs - operator(x)
        residuals = relative(torch.stack([dot(rhs, rhs), dot(residual, residual)]).sqrt())
        return LinearSolution(
            x,
            residuals,
            values[..., 0] <= -self.shift,
            residuals[-1] <= goal(self.tol, rhs.dtype),
            ~(residuals[-1] <= 1),
        )

    def _approximate(self, operator: Operator, rhs: Tensor) -> tuple[Tensor, Tensor]:
        """U (..., n, rank) and Λ (..., rank), ascending, with Ĥ = U Λ Uᵀ."""
        sketch = self._sketch(rhs)
        products = torch.stack([operator(row.expand_as(rhs)) for row in sketch.mT.contiguous()], -1)
        products = products - self.shift * sketch
        core, vectors = symmetric_eigen(sketch.mT @ products)
        cutoff = core.shape[-1] * torch.finfo(rhs.dtype).eps * core.abs().amax(-1, keepdim=True)
        scales = torch.where(core.abs() <= cutoff, 0.0, core.abs().rsqrt())
        factor = products @ (vectors * scales[..., None, :])
        basis, triangle = torch.linalg.qr(factor)
        values, rotation = symmetric_eigen((triangle * core.sign()[..., None, :]) @ triangle.mT)
        return basis @ rotation, values

    def _sketch(self, rhs: Tensor) -> Tensor:
        """Ω (n, rank), its columns orthonormal. Drawn in float32 whatever the dtype, so that dtypes compare."""
        size = rhs.shape[-1]
        generator = torch.Generator(rhs.device).manual_seed(self.seed)
        if self.sketch == "columns":
            chosen = torch.randperm(size, generator=generator, device=rhs.device)[: self.rank]
            return torch.nn.functional.one_hot(chosen, size).to(rhs.dtype).mT
        drawn = torch.randn(size, self.rank, generator=generator, device=rhs.device)
        return torch.linalg.qr(drawn.to(rhs.dtype)).Q
