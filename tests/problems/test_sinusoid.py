import numpy as np
import pytest
import torch

from harness.problems.sinusoid import Sinusoid
from tests.problems.descent import adapted


def test_points_lie_on_one_wave_of_the_papers_range() -> None:
    waves: list[tuple[float, float]] = []
    for task in Sinusoid(shots=6, queries=30, dtype="float64").tasks(200, 0):
        assert task.support[0].shape == task.support[1].shape == (6, 1)
        assert task.query[0].shape == task.query[1].shape == (30, 1)
        x, y = torch.cat([task.support[0], task.query[0]]), torch.cat([task.support[1], task.query[1]])
        assert -5 <= x.min().item() < -3
        assert 3 < x.max().item() <= 5
        # y = A sin(x − φ) = (A cos φ) sin x − (A sin φ) cos x
        basis = torch.cat([x.sin(), -x.cos()], dim=1)
        solution = torch.linalg.lstsq(basis, y)[0]
        torch.testing.assert_close(basis @ solution, y)
        cosine, sine = solution.flatten().tolist()
        waves.append((float(np.hypot(sine, cosine)), float(np.arctan2(sine, cosine))))
    amplitudes, phases = map(np.array, zip(*waves, strict=True))
    assert 0.1 <= amplitudes.min() < 0.3
    assert 4.8 < amplitudes.max() <= 5
    assert 0 <= phases.min() < 0.1
    assert np.pi - 0.1 < phases.max() <= np.pi


@pytest.mark.parametrize(("hidden", "expected"), [((40, 40), 1_761), ([7], 22)])
def test_the_network_has_the_layers_asked_for(hidden: list[int], expected: int) -> None:
    assert sum(value.numel() for value in Sinusoid(hidden=hidden).theta().values()) == expected


def test_the_loss_is_the_networks_mean_squared_error() -> None:
    problem = Sinusoid(hidden=[3, 2], activation="tanh", dtype="float64")
    [task] = problem.tasks(1, 0)
    theta, (x, y) = problem.theta(), task.support
    hidden = torch.tanh(
        torch.tanh(x @ theta["layer0.weight"].T + theta["layer0.bias"]) @ theta["layer1.weight"].T
        + theta["layer1.bias"]
    )
    errors = hidden @ theta["layer2.weight"].T + theta["layer2.bias"] - y
    torch.testing.assert_close(problem.inner_loss(theta, task.support), (errors**2).sum() / len(x))


@pytest.mark.parametrize("activation", ["relu", "tanh", "softplus"])
def test_a_few_steps_fit_the_support_set_better(activation: str) -> None:
    problem = Sinusoid(activation=activation)
    [task] = problem.tasks(1, 0)
    before = problem.inner_loss(problem.theta(), task.support).item()
    assert problem.inner_loss(adapted(problem, task, 100, 0.005), task.support).item() < 0.5 * before


def test_activations_differ() -> None:
    losses: set[float] = set()
    for name in ("relu", "tanh", "softplus"):
        problem = Sinusoid(activation=name)
        losses.add(problem.inner_loss(problem.theta(), problem.tasks(1, 0)[0].support).item())
    assert len(losses) == 3
