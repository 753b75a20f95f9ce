import math

import pytest
import torch
from torch import Tensor

from harness.linear_solvers import ConjugateGradient, LinearSolution, largest_eigenvalue


def symmetric(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(len(eigenvalues), len(eigenvalues), generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(square).Q
    return basis @ torch.diag(eigenvalues) @ basis.T


def right_side(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def cg(matrix: Tensor, rhs: Tensor, iterations: int, tol: float = 0.0) -> LinearSolution:
    return ConjugateGradient(iterations, tol).solve(lambda v: matrix @ v, rhs)


@pytest.mark.parametrize("kappa", [2.0, 100.0, 1e4])
def test_error_keeps_within_the_chebyshev_bound_at_every_iteration(kappa: float) -> None:
    matrix = symmetric(torch.linspace(1, kappa, 60, dtype=torch.float64))
    rhs = right_side(60)
    exact = torch.linalg.solve(matrix, rhs)

    def energy(x: Tensor) -> float:
        return math.sqrt(float(x @ matrix @ x))

    rate = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    for t in range(1, 30):
        assert energy(cg(matrix, rhs, t).x - exact) <= 2 * rate**t * energy(exact) * (1 + 1e-9) + 1e-12 * energy(exact)


@pytest.mark.parametrize("distinct", [1, 2, 5])
def test_exact_after_as_many_iterations_as_distinct_eigenvalues(distinct: int) -> None:
    matrix = symmetric(torch.tensor([1.0, 3.0, 7.0, 20.0, 50.0], dtype=torch.float64)[:distinct].repeat(6))
    rhs = right_side(6 * distinct)
    exact = torch.linalg.solve(matrix, rhs)
    assert float((cg(matrix, rhs, distinct).x - exact).norm() / exact.norm()) < 1e-11
    if distinct > 1:
        assert float((cg(matrix, rhs, distinct - 1).x - exact).norm() / exact.norm()) > 1e-3


def test_iterations_after_the_exact_solution_change_nothing() -> None:
    matrix, rhs = 3 * torch.eye(8, dtype=torch.float64), right_side(8)
    solution = cg(matrix, rhs, 30)
    torch.testing.assert_close(solution.x, rhs / 3, rtol=1e-14, atol=0)
    assert not bool(solution.negative_curvature)


def test_residuals_are_those_of_the_iterates() -> None:
    matrix, rhs = symmetric(torch.linspace(1, 50, 30, dtype=torch.float64)), right_side(30)
    history = cg(matrix, rhs, 10).residuals
    for t in range(1, 11):
        true = float((rhs - matrix @ cg(matrix, rhs, t).x).norm() / rhs.norm())
        assert float(history[t]) == pytest.approx(true, rel=1e-8)


def test_tolerance_stops_early_and_keeps_the_last_update() -> None:
    matrix, rhs = symmetric(torch.linspace(1, 50, 30, dtype=torch.float64)), right_side(30)
    calls = 0

    def operator(v: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return matrix @ v

    solution = ConjugateGradient(100, tol=1e-6).solve(operator, rhs)
    assert calls == len(solution.residuals) - 1 < 30
    assert float((rhs - matrix @ solution.x).norm() / rhs.norm()) <= 1e-6
    assert float(solution.residuals[-2]) > 1e-6


@pytest.mark.parametrize("tol", [0.0, 1e-10])
def test_negative_curvature_is_flagged_and_the_best_iterate_returned(tol: float) -> None:
    matrix = symmetric(torch.cat([torch.linspace(1, 10, 19), torch.tensor([-0.5])]).double())
    rhs = right_side(20)
    solution = cg(matrix, rhs, 60, tol)
    assert bool(solution.negative_curvature)
    assert bool(solution.x.isfinite().all())
    energy = [float(x @ matrix @ x / 2 - rhs @ x) for x in (cg(matrix, rhs, t).x for t in range(60))]
    kept = float(solution.x @ matrix @ solution.x / 2 - rhs @ solution.x)
    assert kept == pytest.approx(min(energy), rel=1e-12)
    assert kept < 0


def test_negative_definite_operator_yields_zero_and_the_flag() -> None:
    rhs = right_side(5)
    solution = cg(-torch.eye(5, dtype=torch.float64), rhs, 5)
    assert bool(solution.negative_curvature)
    assert float(solution.x.norm()) == 0.0


def test_zero_right_side() -> None:
    solution = cg(torch.eye(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64), 5)
    assert float(solution.x.norm()) == 0.0
    assert not bool(solution.negative_curvature)
    assert bool(solution.residuals.isfinite().all())


@pytest.mark.parametrize("eigenvalues", [[-3.0, 0.5, 10.0], [-20.0, -1.0], [4.0] * 5, [1.0, 1.01, 0.99]])
def test_lanczos_never_underestimates_and_converges(eigenvalues: list[float]) -> None:
    matrix = symmetric(torch.tensor(eigenvalues, dtype=torch.float64))
    estimate = largest_eigenvalue(lambda v: matrix @ v, torch.zeros(len(eigenvalues), dtype=torch.float64))
    assert max(eigenvalues) - 1e-12 <= estimate <= max(eigenvalues) + 1e-6


def test_lanczos_bounds_from_above_before_it_has_converged() -> None:
    matrix = symmetric(torch.linspace(0, 10, 300, dtype=torch.float64))
    estimate = largest_eigenvalue(lambda v: matrix @ v, torch.zeros(300, dtype=torch.float64), iterations=8)
    assert 10.0 <= estimate < 12.0
