import math

import pytest
import torch
from torch import Tensor

from harness.linear_solvers import ConjugateGradient, LinearSolution
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
from tests.rounding import conjugate_gradients, elimination


def cg(matrix: Tensor, rhs: Tensor, iterations: int, tol: float = 0.0) -> LinearSolution:
    return ConjugateGradient(iterations, tol).solve(Product(matrix), rhs)


@pytest.mark.parametrize("kappa", [2.0, 100.0, 1e4, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_error_keeps_within_the_chebyshev_bound_at_every_iteration(kappa: float, dtype: torch.dtype) -> None:
    matrix = symmetric(torch.linspace(1, kappa, 60, dtype=torch.float64))
    rhs = right_side(60)
    exact = torch.linalg.solve(matrix, rhs)

    def energy(x: Tensor) -> float:
        return math.sqrt(float(x @ matrix @ x))

    rate = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    for t in range(1, 30):
        error = energy(cg(matrix, rhs.to(dtype), t).x.double() - exact) / energy(exact)
        rounding = conjugate_gradients(60, kappa, t, dtype) + elimination(60, kappa, torch.float64)
        assert error <= 2 * rate**t + rounding


@pytest.mark.parametrize("distinct", [1, 2, 5])
def test_exact_after_as_many_iterations_as_distinct_eigenvalues(distinct: int) -> None:
    matrix = symmetric(spectrum([1.0, 3.0, 7.0, 20.0, 50.0])[:distinct].repeat(6))
    rhs = right_side(6 * distinct)
    exact = torch.linalg.solve(matrix, rhs)
    assert relative_error(cg(matrix, rhs, distinct).x, exact) < 1e-11
    if distinct > 1:
        assert relative_error(cg(matrix, rhs, distinct - 1).x, exact) > 1e-3


def test_iterations_after_the_exact_solution_change_nothing() -> None:
    solution = cg(3 * torch.eye(8, dtype=torch.float64), right_side(8), 30)
    torch.testing.assert_close(solution.x, right_side(8) / 3, rtol=1e-14, atol=0)
    assert not bool(solution.negative_curvature)


def test_residuals_are_those_of_the_iterates() -> None:
    matrix, rhs = symmetric(torch.linspace(1, 50, 30)), right_side(30)
    history = cg(matrix, rhs, 10).residuals
    assert len(history) == 11
    for t in range(1, 11):
        assert float(history[t]) == pytest.approx(true_residual(matrix, cg(matrix, rhs, t).x, rhs), rel=1e-8)


def test_tolerance_stops_early_and_keeps_the_last_update() -> None:
    product, rhs = Product(symmetric(torch.linspace(1, 50, 30))), right_side(30)
    solution = ConjugateGradient(100, tol=1e-6).solve(product, rhs)
    assert product.calls == len(solution.residuals) - 1 < 30
    assert true_residual(product.matrix, solution.x, rhs) <= 1e-6
    assert float(solution.residuals[-2]) > 1e-6
    assert bool(solution.converged)


def test_too_few_iterations_have_not_converged() -> None:
    matrix, rhs = symmetric(torch.linspace(1, 50, 30)), right_side(30)
    assert not bool(cg(matrix, rhs, 5, tol=1e-6).converged)
    assert not bool(cg(matrix, rhs, 5).converged)
    assert bool(cg(matrix, rhs, 30).converged)


@pytest.mark.parametrize("tol", [0.0, 1e-10])
def test_negative_curvature_is_flagged_and_the_best_iterate_returned(tol: float) -> None:
    matrix, rhs = symmetric(spectrum(torch.linspace(1, 10, 19), [-0.5])), right_side(20)
    product = Product(matrix)
    solution = ConjugateGradient(60, tol).solve(product, rhs)
    assert product.calls == 60 if tol == 0.0 else product.calls <= 20
    assert bool(solution.negative_curvature)
    assert not bool(solution.converged)
    assert bool(solution.x.isfinite().all())
    energy = [float(x @ matrix @ x / 2 - rhs @ x) for x in (cg(matrix, rhs, t).x for t in range(1, 60))]
    kept = float(solution.x @ matrix @ solution.x / 2 - rhs @ solution.x)
    assert kept == pytest.approx(min(energy), rel=1e-12)
    assert kept < 0


def test_negative_definite_operator_yields_zero_and_the_flag() -> None:
    solution = cg(-torch.eye(5, dtype=torch.float64), right_side(5), 5)
    assert bool(solution.negative_curvature)
    assert float(solution.x.norm()) == 0.0


def test_least_norm_on_a_singular_operator_with_a_solution() -> None:
    matrix = symmetric(spectrum(torch.zeros(10), [1.0, 4.0, 9.0] * 5))
    rhs = matrix @ right_side(25)
    solution = cg(matrix, rhs, 3)
    assert relative_error(solution.x, least_norm(matrix, rhs)) < 1e-12
    assert bool(solution.converged)


def test_iterations_after_the_least_norm_change_nothing() -> None:
    """Along the axes, so that no rounding gives the right side a part in the null space, where no iteration ends."""
    matrix = torch.diag(spectrum(torch.zeros(10), [1.0, 4.0, 9.0] * 5))
    rhs = matrix @ right_side(25)
    few, many = cg(matrix, rhs, 3), cg(matrix, rhs, 200)
    assert relative_error(few.x, least_norm(matrix, rhs)) < 1e-12
    assert relative_error(many.x, few.x) < 1e-12
    assert not bool(many.negative_curvature)


def test_no_solution_is_not_called_one() -> None:
    matrix, rhs = symmetric(spectrum(torch.zeros(10), [1.0, 4.0, 9.0] * 5)), right_side(25)
    null = eigenvectors(25)[:, :10].T @ rhs
    solution = cg(matrix, rhs, 3)
    assert not bool(solution.converged)
    assert float(solution.residuals[-1]) >= float(null.norm() / rhs.norm()) * (1 - 1e-12)


def test_batch_of_one_that_converges_one_that_bends_down_and_one_that_goes_on() -> None:
    kinds = [[2.0] * 20, spectrum(torch.linspace(1, 10, 19), [-0.5]), torch.linspace(1, 400, 20)]
    matrices = torch.stack([symmetric(kind, seed) for seed, kind in enumerate(kinds)])
    rhs = right_side(3, 20)
    product = Product(matrices)
    solution = ConjugateGradient(200, tol=1e-8).solve(product, rhs)
    alone = [cg(matrix, b, 200, 1e-8) for matrix, b in zip(matrices, rhs, strict=True)]
    assert product.calls == max(len(s.residuals) for s in alone) - 1
    assert solution.negative_curvature.tolist() == [False, True, False]
    assert solution.converged.tolist() == [True, False, True]
    for i, single in enumerate(alone):
        assert relative_error(solution.x[i], single.x) < 1e-11
        assert float(solution.residuals[-1, i]) == pytest.approx(float(single.residuals[-1]), rel=1e-6, abs=1e-14)


def test_ended_systems_keep_their_bits() -> None:
    kinds = [[2.0] * 20, spectrum(torch.linspace(1, 10, 19), [-0.5]), torch.linspace(1, 400, 20)]
    matrices, rhs = torch.stack([symmetric(kind) for kind in kinds]), right_side(3, 20)
    few, many = (cg(matrices, rhs, iterations) for iterations in (20, 60))
    assert torch.equal(few.x[1], many.x[1])
    first, all_of_them = (cg(matrices, rhs, iterations, tol=1e-6) for iterations in (1, 60))
    assert torch.equal(first.x[0], all_of_them.x[0])
    assert not torch.equal(first.x[2], all_of_them.x[2])
