"""What rounding alone may add to a result: allowances from the number of unknowns n, κ, eps and iterations.

Worst-case constants grow as n and as iterations, so that in single precision a wrong solver would pass below them.
These are the probabilistic ones: n roundings, independent and of mean 0, come to at most λ√n u, u = eps/2, except with
probability 2 exp(−λ²/2) (Higham & Mary, "A new approach to probabilistic rounding error analysis", SIAM J. Sci.
Comput. 41, 2019, theorem 2.4). λ is that of one in a million. They hold for any order of summation and any processor; a
fused multiplication rounds less.

Relative to the 2-norm of the result where nothing else is said; first order in u.
"""

import math

import torch

from tests.chance import FALSE_ALARM

LAMBDA = math.sqrt(2 * math.log(2 / FALSE_ALARM))


def accumulated(count: float, dtype: torch.dtype) -> float:
    """λ√n u: ``count`` roundings one after the other, as in an inner product; of B v relative to ‖B‖‖v‖."""
    return LAMBDA * math.sqrt(count) * torch.finfo(dtype).eps / 2


def eigen_solve(size: int, kappa: float, dtype: torch.dtype) -> float:
    """Of B⁺ b by an eigendecomposition, for a B whose other eigenvalues are at most κ-fold apart.

    n orthogonal transformations of n-term inner products, so n² roundings: once as a backward error of B, which κ
    magnifies, and once in the eigenvectors, whose departure from orthogonality enters with both products with them
    (Higham, "Accuracy and stability of numerical algorithms", 2nd ed., lemma 19.3).
    """
    return (kappa + 2) * accumulated(size**2, dtype)


def elimination(size: int, kappa: float, dtype: torch.dtype) -> float:
    """Of B⁻¹ b by elimination without growth of the pivots: a factorisation and two triangular solves.

    Their backward error is that of three inner products (Higham & Mary, theorem 3.7).
    """
    return 3 * kappa * accumulated(size, dtype)


def conjugate_gradients(size: int, kappa: float, iterations: int, dtype: torch.dtype) -> float:
    """Of x_t, in the norm of B and relative to x*.

    The residual of the recurrence leaves the true one by the rounding of each product B(α_j p_j), and by B times that
    of each sum x_j (Greenbaum, "Estimating the attainable accuracy of recursively computed residual methods", 1997,
    theorem 2.2). Directions have no negative inner products, so Σ‖α_j p_j‖² ≤ ‖x_t‖² and independent roundings of
    the products come to those of one, n terms relative to ‖B‖‖x‖; in the norm of B⁻¹ that is times κ. Those of t sums
    come to √t u‖x‖, in the norm of B times √κ.
    """
    return kappa * accumulated(size, dtype) + math.sqrt(kappa) * accumulated(iterations, dtype)


def neumann_beyond_the_range(size: int, terms: int, decay: float, dtype: torch.dtype) -> float:
    """Of a Neumann series on a singular B with b in its range, relative to ‖b‖ where η‖B‖ ≤ 1.

    What rounding puts into the null space, of b as of each product with a residual ‖r_j‖ ≤ decayʲ‖b‖, no later term
    takes away: every term adds it to x anew.
    """
    return terms * (1 + 1 / (1 - decay)) * accumulated(size, dtype)
