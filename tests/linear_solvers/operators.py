"""Symmetric operators of known spectrum, and what a dense solve says of them."""

import torch
from torch import Tensor


def spectrum(*parts: list[float] | Tensor) -> Tensor:
    return torch.cat([torch.as_tensor(part, dtype=torch.float64) for part in parts])


def symmetric(eigenvalues: Tensor | list[float], seed: int = 0) -> Tensor:
    """A float64 matrix with these eigenvalues; its eigenvectors are the columns of ``eigenvectors``."""
    eigenvalues = spectrum(eigenvalues)
    basis = eigenvectors(len(eigenvalues), seed)
    return basis @ torch.diag(eigenvalues) @ basis.T


def eigenvectors(size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q


def right_side(*shape: int, seed: int = 9) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def least_norm(matrix: Tensor, rhs: Tensor) -> Tensor:
    return torch.linalg.pinv(matrix, rtol=1e-10, hermitian=True) @ rhs


def relative_error(x: Tensor, exact: Tensor) -> float:
    return float((x.double() - exact).norm() / exact.norm())


def true_residual(matrix: Tensor, x: Tensor, rhs: Tensor) -> float:
    return float((rhs - matrix @ x).norm() / rhs.norm())


class Product:
    """v ↦ B v for a matrix (n, n), or one for each system (..., n, n), in the dtype of v; counts its calls."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.calls = 0

    def __call__(self, v: Tensor) -> Tensor:
        self.calls += 1
        return (self.matrix.to(v) @ v[..., None])[..., 0]
