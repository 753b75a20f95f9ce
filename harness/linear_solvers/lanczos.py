"""Extreme eigenvalues of a symmetric operator, by Lanczos with full reorthogonalisation.

From v_1 random the iteration builds orthonormal v_1, …, v_m with B V = V T + β_m v_(m+1) e_mᵀ, T tridiagonal. A Ritz
pair (θ, y) of T has ‖B V y − θ V y‖ = β_m |y_m|, so an eigenvalue of B lies that near θ; the extreme ones are found
first. Every Ritz value lies between the extreme eigenvalues of B, hence bounds them from within; θ ± β_m |y_m| bounds
the eigenvalue θ converges to from without.

Costs one product an iteration and, for every iteration, one vector held; each iteration waits for the device, to end
with the invariant subspace. Wrong where the start has no part along the extreme eigenvector (of probability 0), and
before it has converged an eigenvalue further out can be missed: then the bound is of an inner one.

Source: Lanczos 1950; Paige 1972; the residual bound: Parlett, "The symmetric eigenvalue problem", theorem 4.5.1.
"""

import torch
from torch import Tensor

from harness.checks import require_count
from harness.errors import BadInput
from harness.linear_solvers.base import Operator, dot
from harness.linear_solvers.eigen import symmetric_eigen
from harness.phases import alike


def largest_eigenvalue(operator: Operator, like: Tensor, iterations: int = 30) -> float:
    """An upper estimate of the largest eigenvalue: the largest Ritz value plus its residual norm.

    Never below the eigenvalue it converges to, and equal to it once the iteration has converged. The start vector is
    fixed, so the estimate is reproducible.

    Args:
        operator: v ↦ B v on vectors of shape (n,).
        like: A vector of shape (n,) whose dtype and device the iteration uses.
        iterations: Most products with the operator.

    Raises:
        BadInput: ``like`` is not a vector, or ``iterations`` not a positive whole number.
    """
    return extreme_eigenvalues(operator, like, iterations)[1]


def extreme_eigenvalues(operator: Operator, like: Tensor, iterations: int = 30) -> tuple[float, float]:
    """The smallest and largest eigenvalue, each moved outwards by its residual norm.

    A smallest one above 0 speaks for a positive definite operator. One below 0 speaks against it only once more
    iterations do not raise it.

    Args:
        operator: v ↦ B v on vectors of shape (n,).
        like: A vector of shape (n,) whose dtype and device the iteration uses.
        iterations: Most products with the operator.

    Raises:
        BadInput: ``like`` is not a vector, or ``iterations`` not a positive whole number.
    """
    if like.dim() != 1:
        raise BadInput(f"like: shape {tuple(like.shape)} is not that of one vector, (n,)")
    smallest, largest = spectral_interval(operator, like, iterations)
    return float(smallest), float(largest)


def spectral_interval(operator: Operator, like: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """As ``extreme_eigenvalues`` for the systems of ``like`` (..., n): two float64 tensors (...) on the CPU.

    Raises:
        BadInput: ``iterations`` is not a positive whole number.
    """
    require_count("iterations", iterations)
    diagonal, coupling, leaving = (t.double().cpu() for t in _tridiagonal(operator, like, iterations))
    matrix = torch.diag_embed(diagonal) + torch.diag_embed(coupling, 1) + torch.diag_embed(coupling, -1)
    values, vectors = symmetric_eigen(matrix)
    residuals = (leaving[..., None] * vectors).norm(dim=-2)
    return values[..., 0] - residuals[..., 0], values[..., -1] + residuals[..., -1]


def _tridiagonal(operator: Operator, like: Tensor, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
    """The diagonal of T (..., m), its off-diagonal (..., m − 1), and where a β leaves T (..., m).

    A system whose Krylov space ends before the others' is padded with copies of its first diagonal entry, uncoupled:
    they lie within its spectrum and change no extreme value.
    """
    size = min(iterations, like.shape[-1])
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(like.shape[-1], generator=generator, dtype=torch.float64).to(like)
    vector = (start / start.norm()).expand_as(like)
    basis = like.new_zeros((*like.shape[:-1], size, like.shape[-1]))
    diagonal, lengths, leaving = like.new_empty((3, *like.shape[:-1], size)).unbind()
    taken = 0
    ended = torch.zeros_like(like[..., :1], dtype=torch.bool)
    scale = torch.zeros_like(like[..., :1])
    for k in alike(size):
        basis[..., k, :] = vector
        product = operator(vector)
        entry = dot(product, vector)
        diagonal[..., k : k + 1] = torch.where(ended, diagonal[..., :1], entry) if k else entry
        scale = torch.maximum(scale, diagonal[..., k : k + 1].abs())
        spanned = basis[..., : k + 1, :]
        for _ in range(2):
            product = product - (spanned.mT @ (spanned @ product[..., None]))[..., 0]
        length = dot(product, product).sqrt()
        ending = ~ended & ((length <= 1e-6 * scale) | (k == size - 1))
        leaving[..., k : k + 1] = torch.where(ending, length, 0.0)
        ended = ended | ending
        lengths[..., k : k + 1] = torch.where(ended, 0.0, length)
        taken = k + 1
        if bool(ended.all()):
            break
        vector = torch.where(ended, 0.0, product / length)
    return diagonal[..., :taken], lengths[..., : taken - 1], leaving[..., :taken]
