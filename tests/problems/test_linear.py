from typing import Any

import pytest
import torch

from harness.errors import BadInput
from harness.problems.linear import LinearRegression, Quadratic


@pytest.mark.parametrize("kappa", [1.0, 50.0, 1e4])
def test_the_support_hessian_has_exactly_the_spectrum_asked_for(kappa: float) -> None:
    [task] = LinearRegression(dim=12, n=30, kappa=kappa).tasks(1, 0)
    values = torch.linalg.eigvalsh(Quadratic.of(task.support).hessian)
    torch.testing.assert_close(values, torch.logspace(-1, 0, 12, base=kappa, dtype=torch.float64), rtol=1e-9, atol=0)


def test_the_query_hessian_is_another_and_does_not_commute() -> None:
    [task] = LinearRegression(dim=12, n=30).tasks(1, 0)
    a, b = Quadratic.of(task.support).hessian, Quadratic.of(task.query).hessian
    assert float((a @ b - b @ a).norm() / (a @ b).norm()) > 1e-2


def test_query_inputs_have_the_support_inputs_covariance() -> None:
    [task] = LinearRegression(dim=4, n=100_000, kappa=10).tasks(1, 0)
    a, b = Quadratic.of(task.support).hessian, Quadratic.of(task.query).hessian
    assert float((a - b).norm() / a.norm()) < 0.02


def test_losses_are_the_quadratics() -> None:
    problem = LinearRegression(dim=5, n=9)
    [task] = problem.tasks(1, 3)
    w = problem.theta()["w"].requires_grad_()
    (grad,) = torch.autograd.grad(problem.inner_loss({"w": w}, task.support), w)
    torch.testing.assert_close(grad, Quadratic.of(task.support).gradient(w))
    (grad,) = torch.autograd.grad(problem.outer_loss({"w": w}, task.query), w)
    torch.testing.assert_close(grad, Quadratic.of(task.query).gradient(w))


def test_seeds_reproduce_and_differ() -> None:
    problem = LinearRegression(dim=5, n=9)
    first, second = problem.tasks(2, 0)
    assert torch.equal(first.support[0], problem.tasks(1, 0)[0].support[0])
    assert not torch.equal(first.support[0], second.support[0])
    assert not torch.equal(problem.theta()["w"], LinearRegression(dim=5, n=9, seed=1).theta()["w"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dim": 0}, "dim: 0 is not a positive whole number"),
        ({"dim": "x"}, "dim: 'x' is not a positive whole number"),
        ({"dim": 101}, "n: 100 examples are fewer than dim = 101"),
        ({"kappa": 0.5}, "kappa: 0.5"),
        ({"noise": -1.0}, "noise: -1.0"),
        ({"seed": -1}, "seed: -1 is not a whole number >= 0"),
        ({"dtype": "float23"}, "unknown dtype 'float23': did you mean 'float32'"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=f"^{message}"):
        LinearRegression(**parameters)
