"""What every linear solver promises."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from harness.errors import BadInput
from harness.linear_solvers import ConjugateGradient, Dense, LinearSolver, Minres, Neumann, Nystrom
from tests.linear_solvers.operators import Product, relative_error, right_side, symmetric, true_residual

SOLVERS: dict[str, LinearSolver] = {
    "cg": ConjugateGradient(12),
    "cg, tol": ConjugateGradient(60, tol=1e-5),
    "minres": Minres(12),
    "minres, tol": Minres(60, tol=1e-5),
    "neumann": Neumann(120),
    "neumann, step": Neumann(120, step=0.15),
    "neumann, tol": Neumann(400, tol=1e-5),
    "nystrom": Nystrom(12),
    "nystrom, columns": Nystrom(12, sketch="columns"),
    "dense": Dense(),
}
every = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@every
@dtypes
def test_solves_a_well_conditioned_system(solver: LinearSolver, dtype: torch.dtype) -> None:
    matrix, rhs = symmetric(torch.linspace(1, 4, 12)), right_side(12)
    before = rhs.to(dtype).clone()
    given = before.clone()
    solution = solver.solve(Product(matrix), given)
    assert relative_error(solution.x, torch.linalg.solve(matrix, rhs)) < 4 * 1.1e-5
    assert true_residual(matrix, solution.x.double(), rhs) == pytest.approx(float(solution.residuals[-1]), abs=1e-5)
    assert solution.x.dtype is solution.residuals.dtype is dtype
    assert solution.residuals[0] == 1
    assert [solution.negative_curvature.shape, solution.residuals.shape[1:]] == [torch.Size([])] * 2
    assert bool(solution.converged)
    assert not bool(solution.negative_curvature | solution.diverged)
    assert torch.equal(given, before)


@every
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_a_batch_is_its_systems(solver: LinearSolver, shape: tuple[int, ...]) -> None:
    rhs = right_side(*shape, 12)
    matrices = torch.stack([symmetric(torch.linspace(1, 4 + i, 12), i) for i in range(rhs[..., 0].numel())])
    product = Product(matrices.reshape(*shape, 12, 12))
    batch = solver.solve(product, rhs)
    assert batch.x.shape == rhs.shape
    assert batch.residuals.shape[1:] == shape
    assert [f.shape for f in (batch.negative_curvature, batch.converged, batch.diverged)] == [torch.Size(shape)] * 3
    for i, (matrix, b) in enumerate(zip(matrices, rhs.reshape(-1, 12), strict=True)):
        alone = solver.solve(Product(matrix), b)
        assert relative_error(batch.x.reshape(-1, 12)[i], alone.x) < 1e-12
        assert bool(batch.converged.reshape(-1)[i]) is bool(alone.converged)
        last = float(batch.residuals[-1].reshape(-1)[i])
        assert last == pytest.approx(float(alone.residuals[-1]), rel=1e-6, abs=1e-13)


@every
def test_zero_right_side_among_others(solver: LinearSolver) -> None:
    matrix, rhs = symmetric(torch.linspace(1, 4, 12)), right_side(2, 12)
    rhs[1] = 0
    solution = solver.solve(Product(matrix), rhs)
    assert float(solution.x[1].norm()) == 0.0
    assert solution.residuals[:, 1].tolist() == [0.0] * len(solution.residuals)
    assert relative_error(solution.x[0], torch.linalg.solve(matrix, rhs[0])) < 4 * 1.1e-5
    assert solution.negative_curvature.tolist() == solution.diverged.tolist() == [False, False]
    assert bool(solution.converged[1])


@every
def test_what_is_no_number_is_flagged_and_stays_in_its_system(solver: LinearSolver) -> None:
    matrices = torch.stack([symmetric(torch.linspace(1, 4, 12))] * 2)
    matrices[1, 3, 3] = torch.nan
    solution = solver.solve(Product(matrices), right_side(2, 12))
    assert solution.diverged.tolist() == [False, True]
    assert solution.converged.tolist() == [True, False]
    assert not bool(solution.x[1].isfinite().any())
    assert relative_error(solution.x[0], torch.linalg.solve(matrices[0], right_side(2, 12)[0])) < 4 * 1.1e-5


@pytest.mark.parametrize("solver", [ConjugateGradient, Minres, Neumann])
def test_converged_is_a_last_residual_within_the_tolerance(solver: Callable[[int], LinearSolver]) -> None:
    matrix, rhs = symmetric(torch.linspace(1, 4, 12)), right_side(12)
    solutions = [solver(t).solve(Product(matrix), rhs) for t in range(1, 80)]
    converged = [bool(s.converged) for s in solutions]
    assert converged == [float(s.residuals[-1]) <= math.sqrt(torch.finfo(torch.float64).eps) for s in solutions]
    assert set(converged) == {True, False}


@every
def test_an_operator_that_returns_its_argument(solver: LinearSolver) -> None:
    rhs = right_side(6)
    solution = solver.solve(lambda v: v, rhs)
    assert relative_error(solution.x, rhs) < 1e-4
    assert torch.equal(rhs, right_side(6))


@pytest.mark.parametrize("solver", [ConjugateGradient(3), Minres(3), Neumann(3, 0.1)], ids=["cg", "minres", "neumann"])
def test_reads_nothing_back_without_a_tolerance(solver: LinearSolver) -> None:
    """A tensor on the meta device has no values: whatever waits for one fails."""
    assert solver.solve(lambda v: 2 * v, torch.ones(2, 5, device="meta")).x.is_meta


COUNTS = [0, -1, 2.0, True, "3", None]
NUMBERS = [-1.0, float("nan"), float("inf"), True, "1", None]
BAD: list[tuple[Callable[..., LinearSolver], dict[str, Any]]] = [
    *((ConjugateGradient, {"max_iterations": value}) for value in COUNTS),
    *((Minres, {"max_iterations": value}) for value in COUNTS),
    *((Neumann, {"terms": value}) for value in COUNTS),
    *((Nystrom, {"rank": value}) for value in COUNTS),
    *((Dense, {"max_size": value}) for value in COUNTS),
    *((ConjugateGradient, {"max_iterations": 1, "tol": value}) for value in NUMBERS),
    *((Minres, {"max_iterations": 1, "tol": value}) for value in NUMBERS),
    *((Neumann, {"terms": 1, "tol": value}) for value in NUMBERS),
    *((Nystrom, {"rank": 1, "tol": value}) for value in NUMBERS),
    *((Dense, {"tol": value}) for value in NUMBERS),
    *((Neumann, {"terms": 1, "step": value}) for value in [0.0, *NUMBERS, "automatic"]),
    *((Nystrom, {"rank": 1, "shift": value}) for value in [0.0, *NUMBERS]),
    *((Nystrom, {"rank": 1, "seed": value}) for value in [-1, 1.0, True]),
]


@pytest.mark.parametrize(("solver", "parameters"), BAD, ids=str)
def test_bad_parameters_are_one_line(solver: Callable[..., LinearSolver], parameters: dict[str, Any]) -> None:
    name, value = list(parameters.items())[-1]
    with pytest.raises(BadInput) as error:
        solver(**parameters)
    assert str(error.value).startswith(f"{name}: {value!r} is n")
    assert "\n" not in str(error.value)


def test_misspelt_sketch() -> None:
    with pytest.raises(BadInput, match="unknown sketch 'gausian': did you mean 'gaussian'"):
        Nystrom(1, sketch="gausian")  # pyright: ignore[reportArgumentType]
