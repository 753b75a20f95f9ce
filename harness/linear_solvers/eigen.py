"""Eigenvalues of small dense symmetric matrices."""

import torch
from torch import Tensor


def symmetric_eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., m), ascending, and eigenvectors (..., m, m) of the symmetric part of ``matrix`` (..., m, m).

    NaN for a matrix with an entry that is not a finite number, where LAPACK would raise: a failed system is a value.
    On a GPU this waits for the device.
    """
    finite = matrix.isfinite().all(-1).all(-1)[..., None, None]
    values, vectors = torch.linalg.eigh(torch.where(finite, (matrix + matrix.mT) / 2, 0.0))
    return torch.where(finite[..., 0], values, torch.nan), vectors
