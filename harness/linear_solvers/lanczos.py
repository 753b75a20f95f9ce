"""The largest eigenvalue of a symmetric operator."""

import torch
from torch import Tensor

from harness.linear_solvers.base import Operator


def largest_eigenvalue(operator: Operator, like: Tensor, iterations: int = 30) -> float:
    """An upper estimate of the largest eigenvalue, by Lanczos with full reorthogonalisation.

    The largest Ritz value plus its residual norm: never below the eigenvalue it converges to, and equal to it once
    the iteration has converged. The start vector is fixed, so the estimate is reproducible.

    Args:
        operator: v ↦ H v on vectors of shape (n,).
        like: A vector of shape (n,) whose dtype and device the iteration uses.
        iterations: Most products with the operator.
    """
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)
    basis = [vector / vector.norm()]
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    for _ in range(min(iterations, like.numel())):
        product = operator(basis[-1])
        diagonal.append(float(product.dot(basis[-1])))
        for _ in range(2):
            stacked = torch.stack(basis)
            product = product - stacked.T @ (stacked @ product)
        length = float(product.norm())
        off_diagonal.append(length)
        if length <= 1e-6 * max(abs(d) for d in diagonal):
            break
        basis.append(product / length)
    size = len(diagonal)
    tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    if size > 1:
        sides = torch.tensor(off_diagonal[: size - 1], dtype=torch.float64)
        tridiagonal += torch.diag(sides, 1) + torch.diag(sides, -1)
    values, vectors = torch.linalg.eigh(tridiagonal)
    return float(values[-1]) + off_diagonal[-1] * abs(float(vectors[-1, -1]))
