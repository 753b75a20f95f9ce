"""The theory of each solver over sizes, condition numbers and seeds."""

import math
from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.linear_solvers import ConjugateGradient, Dense, Minres, Neumann, Nystrom
from tests.linear_solvers.operators import Product, relative_error, right_side, symmetric, true_residual

EPS = torch.finfo(torch.float64).eps


def systems(test: Callable[[Tensor, Tensor, float], None]) -> Callable[[], None]:
    """Run ``test`` on definite systems (B, b, κ) of up to 24 unknowns, with eigenvalues in [1, κ]."""

    @settings(max_examples=15, derandomize=True, deadline=None)
    @given(size=st.integers(2, 24), digits=st.floats(0, 6), spread=st.booleans(), seed=st.integers(0, 99))
    def over_systems(size: int, digits: float, spread: bool, seed: int) -> None:
        kappa = 10.0**digits
        eigenvalues = torch.logspace(0, digits, size) if spread else torch.linspace(1, kappa, size)
        test(symmetric(eigenvalues, seed), right_side(size, seed=seed), kappa * (1 + 1e-6))

    over_systems.__name__ = test.__name__
    return over_systems


@systems
def test_conjugate_gradients_keep_the_chebyshev_bound(matrix: Tensor, rhs: Tensor, kappa: float) -> None:
    exact = torch.linalg.solve(matrix, rhs)
    rate = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    for t in (1, 3, 10, 30):
        error = ConjugateGradient(t).solve(Product(matrix), rhs).x - exact
        bound = 4 * rate ** (2 * t) * float(exact @ matrix @ exact)
        assert float(error @ matrix @ error) <= bound * (1 + 1e-6) + (10 * kappa * EPS) ** 2 * float(exact @ rhs)


@systems
def test_minres_keeps_its_bound_and_never_grows(matrix: Tensor, rhs: Tensor, kappa: float) -> None:
    solution = Minres(30).solve(Product(matrix), rhs)
    rate = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    assert bool((solution.residuals.diff() <= 0).all())
    for t, residual in enumerate(solution.residuals.tolist()):
        assert residual <= 2 * rate**t + 100 * EPS
    true = true_residual(matrix, solution.x, rhs)
    assert abs(true - float(solution.residuals[-1])) <= 10 * kappa**2 * EPS
    assert not bool(solution.negative_curvature)


@systems
def test_neumann_shrinks_geometrically(matrix: Tensor, rhs: Tensor, kappa: float) -> None:
    exact = torch.linalg.solve(matrix, rhs)
    solution = Neumann(20).solve(Product(matrix), rhs)
    step = float(Neumann(1).solve(Product(matrix), rhs).x @ rhs / (rhs @ rhs))
    assert step * kappa <= 1 + 1e-5
    assert relative_error(solution.x, exact) <= (1 - step) ** 20 + 10 * kappa * EPS
    assert not bool(solution.diverged)


@systems
def test_full_rank_nystrom_and_dense_are_exact(matrix: Tensor, rhs: Tensor, kappa: float) -> None:
    exact = torch.linalg.solve(matrix, rhs)
    assert relative_error(Dense().solve(Product(matrix), rhs).x, exact) <= 100 * kappa * EPS
    assert relative_error(Nystrom(len(rhs), shift=0.5).solve(Product(matrix), rhs).x, exact) <= 1e3 * kappa * EPS
