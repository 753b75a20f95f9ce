import math

import pytest
import torch

from harness.errors import BadInput
from harness.linear_solvers import Dense
from tests.linear_solvers.operators import (
    Product,
    eigenvectors,
    least_norm,
    relative_error,
    right_side,
    spectrum,
    symmetric,
    true_residual,
)
from tests.rounding import eigen_solve, elimination


@pytest.mark.parametrize("kappa", [2.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_solves_to_rounding_whatever_the_sign_of_the_eigenvalues(kappa: float, dtype: torch.dtype, sign: float) -> None:
    kappa = min(kappa, 1e-3 / torch.finfo(dtype).eps)
    matrix, rhs = symmetric(spectrum(torch.linspace(1, kappa, 19), [sign])), right_side(20)
    product = Product(matrix)
    solution = Dense().solve(product, rhs.to(dtype))
    rounding = eigen_solve(20, kappa, dtype) + elimination(20, kappa, torch.float64)
    assert relative_error(solution.x, torch.linalg.solve(matrix, rhs)) < rounding
    assert solution.x.dtype is dtype
    assert product.calls == 20
    assert bool(solution.negative_curvature) is (sign < 0)
    promised = math.sqrt(torch.finfo(dtype).eps)  # in single precision rounding alone may come to as much here
    assert bool(solution.converged) is (float(solution.residuals[-1]) <= promised)


def test_least_norm_where_there_are_many_solutions() -> None:
    matrix = symmetric(spectrum(torch.zeros(5), [-2.0], torch.linspace(1, 1e6, 14)))
    rhs = matrix @ right_side(20)
    solution = Dense().solve(Product(matrix), rhs)
    assert relative_error(solution.x, least_norm(matrix, rhs)) < 1e6 * 1e-15
    assert bool(solution.converged)


def test_least_squares_of_least_norm_where_there_is_none() -> None:
    matrix, rhs = symmetric(spectrum(torch.zeros(5), torch.linspace(1, 10, 15))), right_side(20)
    solution = Dense().solve(Product(matrix), rhs)
    assert relative_error(solution.x, least_norm(matrix, rhs)) < 1e-13
    null = eigenvectors(20)[:, :5].T @ rhs
    assert solution.residuals.tolist() == pytest.approx([1.0, float(null.norm() / rhs.norm())], rel=1e-12)
    assert not bool(solution.converged)
    assert bool(solution.negative_curvature)
    assert bool(Dense(tol=0.9).solve(Product(matrix), rhs).converged)


def test_rounding_that_breaks_the_symmetry_is_averaged_out() -> None:
    matrix, rhs = symmetric(torch.linspace(1, 10, 12)), right_side(12)
    skew = torch.triu(torch.ones(12, 12, dtype=torch.float64), 1)
    lopsided = matrix + skew - skew.T
    solution = Dense().solve(Product(lopsided), rhs)
    assert relative_error(solution.x, torch.linalg.solve(matrix, rhs)) < 1e-13
    assert float(solution.residuals[1]) == pytest.approx(true_residual(lopsided, solution.x, rhs), rel=1e-9)


def test_refuses_what_is_too_large_before_any_product() -> None:
    product = Product(torch.eye(4))
    with pytest.raises(BadInput, match="max_size: a dense solve of n = 4 is refused above 3; use an iteration"):
        Dense(max_size=3).solve(product, torch.ones(4))
    assert product.calls == 0
    with pytest.raises(BadInput, match="n = 5001 is refused above 5000"):
        Dense().solve(product, torch.ones(5001))
    assert Dense(max_size=4).solve(product, torch.ones(4)).x.tolist() == pytest.approx([1.0] * 4)
