import pytest
import torch
from torch import Tensor

from harness.errors import BadInput
from harness.linear_solvers import extreme_eigenvalues, largest_eigenvalue
from harness.linear_solvers.lanczos import spectral_interval
from tests.linear_solvers.operators import Product, spectrum, symmetric

SPECTRA = [[-3.0, 0.5, 10.0], [-20.0, -1.0], [4.0] * 5, [1.0, 1.01, 0.99], [2.0], [0.0, 0.0]]


@pytest.mark.parametrize("eigenvalues", SPECTRA, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_encloses_the_spectrum_and_converges(eigenvalues: list[float], dtype: torch.dtype) -> None:
    rounding = 10 * torch.finfo(dtype).eps * max(map(abs, eigenvalues))
    product, like = Product(symmetric(eigenvalues)), torch.zeros(len(eigenvalues), dtype=dtype)
    smallest, largest = extreme_eigenvalues(product, like)
    assert min(eigenvalues) - 1e-6 - rounding <= smallest <= min(eigenvalues) + rounding
    assert max(eigenvalues) - rounding <= largest <= max(eigenvalues) + 1e-6 + rounding
    assert largest_eigenvalue(product, like) == largest


def test_bounds_from_outside_before_it_has_converged() -> None:
    product = Product(symmetric(torch.linspace(-10, 10, 300)))
    smallest, largest = extreme_eigenvalues(product, torch.zeros(300, dtype=torch.float64), iterations=8)
    assert -14 < smallest <= -10
    assert 10 <= largest < 14
    assert product.calls == 8


def test_ends_with_the_invariant_subspace() -> None:
    product = Product(symmetric([3.0, 5.0] * 10))
    assert extreme_eigenvalues(product, torch.zeros(20, dtype=torch.float64)) == pytest.approx((3.0, 5.0), rel=1e-12)
    assert product.calls == 2


def test_converged_extremes_stay_single() -> None:
    """Without reorthogonalisation, copies of converged eigenvalues crowd out the others."""
    eigenvalues = spectrum([-1e4, 1e5], torch.linspace(0, 1, 30))
    smallest, largest = extreme_eigenvalues(Product(symmetric(eigenvalues)), torch.zeros(32, dtype=torch.float64), 32)
    assert (smallest, largest) == pytest.approx((-1e4, 1e5), rel=1e-12)


def test_systems_of_a_batch_end_each_at_its_time() -> None:
    kinds = [torch.full((30,), 7.0), torch.linspace(2, 30, 30), spectrum([-4.0, 9.0], torch.full((28,), 3.0))]
    product = Product(torch.stack([symmetric(kind, seed) for seed, kind in enumerate(kinds)]))
    smallest, largest = spectral_interval(product, torch.zeros(3, 30, dtype=torch.float64), 12)
    for i, matrix in enumerate(product.matrix):
        alone = extreme_eigenvalues(Product(matrix), torch.zeros(30, dtype=torch.float64), 12)
        assert (float(smallest[i]), float(largest[i])) == pytest.approx(alone, rel=1e-9)
    assert smallest[[0, 2]].tolist() == pytest.approx([7.0, -4.0], rel=1e-9)
    assert largest[[0, 2]].tolist() == pytest.approx([7.0, 9.0], rel=1e-9)
    assert product.calls == 12


def test_the_operator_is_asked_for_numbers_only_when_a_system_has_ended() -> None:
    matrices = torch.stack([torch.zeros(9, 9, dtype=torch.float64), symmetric(torch.linspace(1, 9, 9))])
    product = Product(matrices)

    def finite(v: Tensor) -> Tensor:
        assert bool(v.isfinite().all())
        return product(v)

    smallest, largest = spectral_interval(finite, torch.zeros(2, 9, dtype=torch.float64), 9)
    assert smallest.tolist() == pytest.approx([0.0, 1.0], abs=1e-9)
    assert largest.tolist() == pytest.approx([0.0, 9.0], abs=1e-9)


def test_operator_without_numbers_has_no_eigenvalues() -> None:
    smallest, largest = extreme_eigenvalues(lambda v: v * torch.nan, torch.zeros(5))
    assert smallest != smallest
    assert largest != largest


def test_bad_input() -> None:
    with pytest.raises(BadInput, match="like: shape \\(2, 5\\) is not that of one vector"):
        extreme_eigenvalues(lambda v: v, torch.zeros(2, 5))
    with pytest.raises(BadInput, match="iterations: 0 is not a positive whole number"):
        largest_eigenvalue(lambda v: v, torch.zeros(5), iterations=0)
