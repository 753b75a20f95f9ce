import math

import pytest
import torch
from torch import Tensor

from harness.linear_solvers import ConjugateGradient, LinearSolution, Minres
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

INDEFINITE = spectrum(torch.linspace(-20, -1, 10), torch.linspace(1, 20, 20))


def minres(matrix: Tensor, rhs: Tensor, iterations: int, tol: float = 0.0) -> LinearSolution:
    return Minres(iterations, tol).solve(Product(matrix), rhs)


@pytest.mark.parametrize("kappa", [2.0, 100.0, 1e4, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_residual_keeps_within_the_bound_of_a_definite_operator(kappa: float, dtype: torch.dtype) -> None:
    matrix, rhs = symmetric(torch.linspace(1, kappa, 60)), right_side(60)
    rate = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    for t, residual in enumerate(minres(matrix, rhs.to(dtype), 40).residuals.tolist()):
        assert residual <= 2 * rate**t + 100 * torch.finfo(dtype).eps


def test_residual_keeps_within_the_bound_of_an_indefinite_operator() -> None:
    for t, residual in enumerate(minres(symmetric(INDEFINITE), right_side(30), 30).residuals.tolist()):
        assert residual <= 2 * (19 / 21) ** (t // 2) + 1e-14


@pytest.mark.parametrize("eigenvalues", [torch.linspace(1, 50, 30), INDEFINITE], ids=["definite", "indefinite"])
def test_iterates_have_the_least_residual_of_the_krylov_space(eigenvalues: Tensor) -> None:
    matrix, rhs = symmetric(eigenvalues), right_side(30)
    space = [rhs / rhs.norm()]
    history = minres(matrix, rhs, 12).residuals
    for t in range(1, 13):
        basis = torch.linalg.qr(torch.stack(space, 1)).Q
        least = basis @ torch.linalg.lstsq(matrix @ basis, rhs[:, None]).solution[:, 0]
        x = minres(matrix, rhs, t).x
        assert relative_error(x, least) < 1e-10
        assert float(history[t]) == pytest.approx(true_residual(matrix, x, rhs), rel=1e-10)
        space.append(matrix @ basis[:, -1])


def test_residual_never_grows() -> None:
    for dtype in (torch.float32, torch.float64):
        history = minres(symmetric(INDEFINITE), right_side(30).to(dtype), 100).residuals
        assert bool((history.diff() <= 0).all())


@pytest.mark.parametrize(
    "eigenvalues", [[5.0], [-3.0, 4.0], [1.0, 3.0, 7.0, 20.0, 50.0], [-1e6, 1.0, 1e3]], ids=lambda e: str(len(e))
)
def test_exact_after_as_many_iterations_as_distinct_eigenvalues(eigenvalues: list[float]) -> None:
    matrix, rhs = symmetric(eigenvalues * 6), right_side(6 * len(eigenvalues))
    kappa = max(map(abs, eigenvalues)) / min(map(abs, eigenvalues))
    solution = minres(matrix, rhs, len(eigenvalues))
    assert relative_error(solution.x, torch.linalg.solve(matrix, rhs)) < 1e-14 * max(kappa, 10) * 10
    assert bool(solution.converged) or kappa > 1e5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ill_conditioned_system_to_the_rounding_of_the_dtype(dtype: torch.dtype) -> None:
    kappa = 1e6 if dtype is torch.float64 else 1e3
    matrix, rhs = symmetric(torch.logspace(0, math.log10(kappa), 30)), right_side(30)
    solution = minres(matrix, rhs.to(dtype), 600)
    assert relative_error(solution.x, torch.linalg.solve(matrix, rhs)) < 10 * kappa * torch.finfo(dtype).eps


def test_iterations_after_the_exact_solution_change_nothing() -> None:
    matrix, rhs = symmetric([-3.0, 4.0] * 5), right_side(10)
    few, many = minres(matrix, rhs, 5), minres(matrix, rhs, 200)
    assert torch.equal(few.x, many.x)
    assert relative_error(many.x, torch.linalg.solve(matrix, rhs)) < 1e-14


def test_a_first_pivot_of_zero() -> None:
    matrix = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    solution = minres(matrix, torch.tensor([1.0, 0.0]), 2)
    torch.testing.assert_close(solution.x, torch.tensor([0.0, 1.0]))
    assert solution.residuals.tolist() == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)


def test_tolerance_stops_early_and_keeps_the_last_update() -> None:
    product, rhs = Product(symmetric(INDEFINITE)), right_side(30)
    solution = Minres(100, tol=1e-3).solve(product, rhs)
    assert product.calls == len(solution.residuals) - 1 < 30
    assert true_residual(product.matrix, solution.x, rhs) <= 1e-3 < float(solution.residuals[-2])
    assert bool(solution.converged)
    assert not bool(minres(product.matrix, rhs, 5, 1e-3).converged)


def first_flag(solve: type[Minres] | type[ConjugateGradient], matrix: Tensor, rhs: Tensor) -> int | None:
    flags = [bool(solve(t).solve(Product(matrix), rhs).negative_curvature) for t in range(1, 16)]
    assert flags == sorted(flags)
    return flags.index(True) if any(flags) else None


@pytest.mark.parametrize("smallest", [-5.0, -0.5, -0.01, 0.01])
def test_negative_curvature_is_found_as_early_as_by_conjugate_gradients(smallest: float) -> None:
    for seed in range(3):
        matrix, rhs = symmetric(spectrum([smallest], torch.linspace(1, 10, 14)), seed), right_side(15, seed=seed)
        assert first_flag(Minres, matrix, rhs) == first_flag(ConjugateGradient, matrix, rhs)
        assert (first_flag(Minres, matrix, rhs) is None) is (smallest > 0)


@pytest.mark.parametrize("eigenvalues", [[1.0, 4.0, 9.0], [-2.0, 4.0, 9.0]], ids=["definite", "indefinite"])
def test_least_norm_on_a_singular_operator_with_a_solution(eigenvalues: list[float]) -> None:
    matrix = symmetric(spectrum(torch.zeros(10), eigenvalues * 5))
    rhs = matrix @ right_side(25)
    solution = minres(matrix, rhs, 3)
    assert relative_error(solution.x, least_norm(matrix, rhs)) < 1e-12
    assert bool(solution.converged)


@pytest.mark.parametrize("eigenvalues", [[1.0, 4.0, 9.0], [-2.0, 4.0, 9.0]], ids=["definite", "indefinite"])
def test_iterations_after_the_least_norm_change_nothing(eigenvalues: list[float]) -> None:
    """Along the axes, so that no rounding gives the right side a part in the null space, of which x may take any."""
    matrix = torch.diag(spectrum(torch.zeros(10), eigenvalues * 5))
    rhs = matrix @ right_side(25)
    few, many = minres(matrix, rhs, 3), minres(matrix, rhs, 200)
    assert relative_error(few.x, least_norm(matrix, rhs)) < 1e-12
    assert relative_error(many.x, few.x) < 1e-12
    assert bool(many.negative_curvature) is (eigenvalues[0] < 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "eigenvalues", [torch.linspace(1, 50, 20), [1.0, 3.0] * 10, INDEFINITE], ids=["many", "two", "indefinite"]
)
def test_least_squares_where_there_is_no_solution(eigenvalues: Tensor | list[float], dtype: torch.dtype) -> None:
    matrix = symmetric(spectrum(torch.zeros(5), eigenvalues))
    rhs = right_side(len(matrix))
    null = float((eigenvectors(len(matrix))[:, :5].T @ rhs).norm() / rhs.norm())
    solution = minres(matrix, rhs.to(dtype), 400)
    assert true_residual(matrix, solution.x.double(), rhs) == pytest.approx(null, rel=1e-2)
    assert float(solution.residuals[-1]) == pytest.approx(null, rel=1e-2)
    assert not bool(solution.converged)


def test_ended_systems_keep_their_bits_while_others_go_on() -> None:
    kinds = [[2.0] * 30, spectrum(torch.zeros(10), [1.0, 3.0] * 10), INDEFINITE]
    matrices, rhs = torch.stack([symmetric(kind) for kind in kinds]), right_side(3, 30)
    few, many = minres(matrices, rhs, 3), minres(matrices, rhs, 60)
    assert torch.equal(few.x[:2], many.x[:2])
    assert not torch.equal(few.x[2], many.x[2])
    for i, (matrix, b) in enumerate(zip(matrices, rhs, strict=True)):
        assert relative_error(many.x[i], minres(matrix, b, 60).x) < 1e-9
