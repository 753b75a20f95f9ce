import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from harness.linear_solvers import LinearSolution, Nystrom
from tests.linear_solvers.operators import Product, relative_error, right_side, spectrum, symmetric, true_residual

Sketch = Literal["gaussian", "columns"]
both = pytest.mark.parametrize("sketch", ["gaussian", "columns"])


def shifted(hessian: Tensor, shift: float) -> Product:
    return Product(hessian + shift * torch.eye(len(hessian), dtype=torch.float64))


def solved(eigenvalues: Tensor, solver: Nystrom) -> tuple[LinearSolution, float]:
    """The solution for H with these eigenvalues, and its relative error."""
    product, rhs = shifted(symmetric(eigenvalues), solver.shift), right_side(len(eigenvalues))
    solution = solver.solve(product, rhs)
    return solution, relative_error(solution.x, torch.linalg.solve(product.matrix, rhs))


@both
@pytest.mark.parametrize("rank", [6, 7, 40, 100])
@pytest.mark.parametrize("shift", [0.1, 1.0, 30.0])
def test_exact_once_the_rank_reaches_that_of_the_hessian(sketch: Sketch, rank: int, shift: float) -> None:
    solution, error = solved(spectrum(torch.linspace(1, 10, 6), torch.zeros(34)), Nystrom(rank, shift, sketch))
    assert error < 1e-15 * (10 / shift + 1) * 1e3
    assert bool(solution.converged)
    assert not bool(solution.negative_curvature)


@both
def test_one_column_too_few_is_not_exact(sketch: Sketch) -> None:
    solution, error = solved(spectrum(torch.linspace(1, 10, 6), torch.zeros(34)), Nystrom(5, 1.0, sketch))
    assert error > 1e-3
    assert not bool(solution.converged)


@both
def test_exact_for_an_indefinite_hessian_of_low_rank(sketch: Sketch) -> None:
    solution, error = solved(spectrum([-0.5, -0.3, 2.0, 5.0], torch.zeros(36)), Nystrom(4, 1.0, sketch))
    assert error < 1e-11
    assert not bool(solution.negative_curvature)


@both
@pytest.mark.parametrize(("dtype", "kappa"), [(torch.float32, 1e3), (torch.float64, 1e6), (torch.float64, 1e9)])
def test_rounding_grows_as_the_condition_number_alone(sketch: Sketch, dtype: torch.dtype, kappa: float) -> None:
    hessian = symmetric(spectrum(torch.logspace(0, math.log10(kappa), 8), torch.zeros(32)))
    product, rhs = shifted(hessian, 1.0), right_side(40)
    solution = Nystrom(20, 1.0, sketch).solve(product, rhs.to(dtype))
    exact = torch.linalg.solve(product.matrix, rhs)
    assert relative_error(solution.x, exact) < 20 * kappa * torch.finfo(dtype).eps


def test_a_square_gaussian_sketch_loses_no_digits() -> None:
    """Its columns as drawn can be all but dependent."""
    for seed in range(20):
        _, error = solved(torch.logspace(0, 3, 30), Nystrom(30, seed=seed))
        assert error < 20 * 1e3 * torch.finfo(torch.float64).eps


def test_error_keeps_within_the_expected_bound() -> None:
    eigenvalues = 2.0 ** -torch.arange(40, dtype=torch.float64)
    for k in (2, 4, 8):
        bound = 3 * eigenvalues[k - 1] + 4 * math.e**2 / k * eigenvalues[k - 1 :].sum()
        errors = [solved(eigenvalues, Nystrom(2 * k - 1, 0.1, seed=seed))[1] for seed in range(10)]
        assert sum(errors) / len(errors) <= float(bound) / 0.1
    assert sum(errors) / len(errors) < 1e-2


def test_costs_rank_and_one_product_and_reports_the_true_residual() -> None:
    product, rhs = shifted(symmetric(torch.linspace(0, 10, 30)), 1.0), right_side(30)
    solution = Nystrom(7).solve(product, rhs)
    assert product.calls == 8
    assert solution.residuals.tolist() == pytest.approx([1.0, true_residual(product.matrix, solution.x, rhs)], rel=1e-9)
    assert bool(Nystrom(7, tol=2 * float(solution.residuals[1])).solve(product, rhs).converged)


def test_columns_are_columns_of_the_operator() -> None:
    seen: list[Tensor] = []

    def product(v: Tensor) -> Tensor:
        seen.append(v)
        return 2 * v

    Nystrom(4, sketch="columns").solve(product, right_side(9))
    asked = torch.stack(seen[:4])
    assert sorted(asked.unique().tolist()) == [0.0, 1.0]
    assert asked.sum(1).tolist() == [1.0] * 4
    assert float(asked.sum(0).max()) == 1.0


@both
def test_seed_decides_the_sketch(sketch: Sketch) -> None:
    product, rhs = shifted(symmetric(torch.linspace(0, 10, 30)), 1.0), right_side(30)
    first, again, other = (Nystrom(7, sketch=sketch, seed=seed).solve(product, rhs).x for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert relative_error(other, first) > 1e-3


@both
def test_both_dtypes_see_the_same_sketch(sketch: Sketch) -> None:
    product, rhs = shifted(symmetric(torch.linspace(0, 10, 30)), 1.0), right_side(30)
    single, double = (Nystrom(7, sketch=sketch).solve(product, rhs.to(d)).x for d in (torch.float32, torch.float64))
    assert relative_error(single, double) < 1e-4


def test_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    Nystrom(2).solve(lambda v: 2 * v, right_side(5))
    assert torch.equal(torch.get_rng_state(), before)


@both
@pytest.mark.parametrize(("smallest", "flagged"), [(-0.9, False), (-1.1, True)])
def test_flag_is_of_the_operator_not_of_the_hessian(sketch: Sketch, smallest: float, flagged: bool) -> None:
    eigenvalues = spectrum([smallest], torch.linspace(1, 5, 4), torch.zeros(25))
    solution, _ = solved(eigenvalues, Nystrom(5, 1.0, sketch))
    assert bool(solution.negative_curvature) is flagged


def test_curvature_the_sketch_proves_is_flagged() -> None:
    solution, _ = solved(torch.full((20,), -3.0), Nystrom(1))
    assert bool(solution.negative_curvature)


def test_identity_alone_has_nothing_to_approximate() -> None:
    solution, error = solved(torch.zeros(10), Nystrom(3, 2.0))
    assert error < 1e-15
    assert bool(solution.converged)
