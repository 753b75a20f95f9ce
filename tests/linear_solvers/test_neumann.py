import pytest
import torch
from torch import Tensor

from harness.linear_solvers import LinearSolution, Neumann
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
from tests.rounding import eigen_solve, neumann_beyond_the_range


def neumann(matrix: Tensor, rhs: Tensor, terms: int, step: float) -> LinearSolution:
    return Neumann(terms, step).solve(Product(matrix), rhs)


@pytest.mark.parametrize("terms", [1, 2, 7])
def test_is_the_sum_of_its_terms(terms: int) -> None:
    matrix, rhs, step = symmetric(torch.linspace(1, 10, 12)), right_side(12), 0.07
    factor = torch.eye(12, dtype=torch.float64) - step * matrix
    series = sum((step * torch.linalg.matrix_power(factor, j) @ rhs for j in range(terms)), torch.zeros(12))
    assert relative_error(neumann(matrix, rhs, terms, step).x, series) < 1e-14


@pytest.mark.parametrize("kappa", [2.0, 50.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_error_and_residual_shrink_geometrically(kappa: float, dtype: torch.dtype) -> None:
    matrix, rhs = symmetric(torch.linspace(1 / kappa, 1, 20)), right_side(20)
    exact = torch.linalg.solve(matrix, rhs)
    rounding = 10 * kappa * torch.finfo(dtype).eps
    for terms in (1, 5, 40):
        solution = neumann(matrix, rhs.to(dtype), terms, 0.9)
        rate = (1 - 0.9 / kappa) ** terms
        assert relative_error(solution.x, exact) <= rate + rounding
        assert float(solution.residuals[-1]) <= rate + rounding
        assert not bool(solution.diverged)


def test_error_is_the_rate_itself_along_an_eigenvector() -> None:
    matrix, rhs = symmetric([0.25, 0.5, 1.0]), eigenvectors(3)[:, 0]
    for terms in (1, 3, 9):
        solution = neumann(matrix, rhs, terms, 0.8)
        assert relative_error(solution.x, rhs / 0.25) == pytest.approx(0.8**terms, rel=1e-12)


def test_residuals_are_those_of_the_iterates() -> None:
    matrix, rhs = symmetric(torch.linspace(0.1, 1, 15)), right_side(15)
    history = neumann(matrix, rhs, 6, 0.9).residuals
    assert len(history) == 7
    for t in range(1, 7):
        assert float(history[t]) == pytest.approx(true_residual(matrix, neumann(matrix, rhs, t, 0.9).x, rhs), rel=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_auto_step_is_below_the_inverse_of_the_largest_eigenvalue_and_near_it(scale: float) -> None:
    matrix, rhs = symmetric(scale * torch.linspace(0.01, 1, 60)), right_side(60)
    product = Product(matrix)
    solution = Neumann(1).solve(product, rhs)
    step = float((solution.x @ rhs) / (rhs @ rhs))
    assert 0.5 <= step * scale <= 1.0
    assert 2 <= product.calls <= 9


def test_auto_step_heeds_a_large_negative_eigenvalue() -> None:
    solution = Neumann(1).solve(Product(symmetric([-20.0, 1.0, 2.0])), right_side(3))
    torch.testing.assert_close(solution.x, right_side(3) / 20, rtol=1e-8, atol=0)


def test_auto_step_of_each_system_of_a_batch() -> None:
    matrices, rhs = torch.stack([symmetric([1.0, 2.0, 3.0]), symmetric([100.0, 200.0, 50.0])]), right_side(2, 3)
    solution = Neumann(1).solve(Product(matrices), rhs)
    torch.testing.assert_close(solution.x, rhs / torch.tensor([[3.0], [200.0]], dtype=torch.float64), rtol=1e-8, atol=0)


def test_tolerance_stops_early_and_keeps_the_last_update() -> None:
    product, rhs = Product(symmetric(torch.linspace(0.1, 1, 15))), right_side(15)
    solution = Neumann(1000, step=1.0, tol=1e-4).solve(product, rhs)
    assert product.calls == len(solution.residuals) - 1 < 100
    assert true_residual(product.matrix, solution.x, rhs) <= 1e-4 < float(solution.residuals[-2])
    assert bool(solution.converged)


@pytest.mark.parametrize(("step", "diverged"), [(1.99, False), (2.01, True)])
def test_a_step_of_twice_the_inverse_norm_diverges(step: float, diverged: bool) -> None:
    solution = neumann(symmetric(torch.linspace(0.5, 1, 10)), right_side(10), 2000, step)
    assert bool(solution.diverged) is diverged
    assert bool(solution.converged) is not diverged
    assert not bool(solution.negative_curvature)


@pytest.mark.parametrize("step", [1.0, 1e3])
def test_divergence_is_flagged_by_growth_and_by_overflow(step: float) -> None:
    solution = Neumann(60, step).solve(lambda v: 2.5 * v, right_side(4).float())
    assert bool(solution.diverged)
    assert not bool(solution.converged)
    assert bool(solution.residuals.isfinite().all()) is (step == 1.0)


def test_indefinite_operator_is_flagged_and_the_series_left_as_it_is() -> None:
    matrix, rhs = symmetric([-0.5, 0.5, 1.0]), right_side(3)
    solution = neumann(matrix, rhs, 40, 0.9)
    assert bool(solution.negative_curvature)
    assert bool(solution.diverged)
    assert float(solution.residuals[-1]) > 1e5
    assert not bool(neumann(symmetric([0.5, 0.5, 1.0]), rhs, 40, 0.9).negative_curvature)
    assert bool(neumann(symmetric([-20.0, 0.5]), eigenvectors(2)[:, 0], 1, 0.01).negative_curvature)
    assert not bool(neumann(symmetric([-20.0, 0.5]), eigenvectors(2)[:, 1], 1, 0.01).negative_curvature)


def test_singular_operator() -> None:
    matrix = symmetric(spectrum(torch.zeros(4), torch.linspace(0.5, 1, 6)))
    consistent, inconsistent = matrix @ right_side(10), right_side(10)
    solution = neumann(matrix, consistent, 60, 1.0)
    rounding = neumann_beyond_the_range(10, 60, 0.5, torch.float64) + eigen_solve(10, 2.0, torch.float64)
    assert relative_error(solution.x, least_norm(matrix, consistent)) < 0.5**60 + rounding
    assert bool(solution.converged)
    solution = neumann(matrix, inconsistent, 200, 1.0)
    null = eigenvectors(10)[:, :4].T @ inconsistent
    assert float(solution.residuals[-1]) == pytest.approx(float(null.norm() / inconsistent.norm()), rel=1e-12)
    assert not bool(solution.converged)
    assert not bool(solution.diverged)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_residual_at_rest_but_for_rounding_is_not_called_divergence(dtype: torch.dtype) -> None:
    matrices = torch.stack([symmetric(spectrum(torch.zeros(4), torch.linspace(0.5, 1, 16)), i) for i in range(64)])
    solution = Neumann(80, 1.0).solve(Product(matrices), right_side(64, 20).to(dtype))
    assert not bool(solution.diverged.any())
