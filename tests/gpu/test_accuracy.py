"""Meta-gradients of the device against the CPU's in double precision: ``make test-gpu``."""

from collections.abc import Generator
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import harness
from harness.cell import Cell, Part
from harness.executors import LocalExecutor
from harness.inner import DifferentiableSolver, inner_solver
from harness.machine import configure
from harness.manifest import Provenance
from harness.meters.accuracy import agreement
from harness.pytree import Params
from harness.registry import ESTIMATORS, INNER_SOLVERS
from harness.worker import build_estimator, build_problem
from tests.forecast.cells import PROBLEMS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]
OWN: dict[str, dict[str, Any]] = {
    "maml-truncated": {"last": 2},
    "imaml-neumann": {"eta": 0.5},
    "imaml-nystrom": {"rank": 200},  # all of the Hessian's: a smaller sketch differs from device to device
}
ESTIMATORS_HERE = [name for name in ESTIMATORS.names() if not name.startswith(("fault", "fails"))]
PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-3)])


@pytest.fixture(autouse=True)
def _without_tf32() -> Generator[None]:
    before = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    configure(1)
    yield
    torch.set_num_threads(before[0])
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before[1:]


def gradient(device: str, dtype: str, estimator: str, **parameters: Any) -> Params:
    """Of two tasks of a network with 97 parameters, on the CPU."""
    problem = harness.problem("sinusoid", hidden=(8, 8), activation="tanh", dtype=dtype, device=device)
    rule = harness.estimator(estimator, steps=3, lr=0.02, lam=20.0, **OWN.get(estimator, {}), **parameters)
    grad = rule.meta_gradients(problem, problem.tasks(2, 0), problem.theta()).grad
    assert {tensor.device.type for tensor in grad.values()} == {device}
    return {name: tensor.cpu() for name, tensor in grad.items()}


@PRECISIONS
@pytest.mark.parametrize("batching", ["loop", "vmap"])
@pytest.mark.parametrize("name", ESTIMATORS_HERE)
def test_estimators(name: str, batching: str, dtype: str, tolerance: float) -> None:
    exact = gradient("cpu", "float64", name)
    assert agreement(gradient("cuda", dtype, name, batching=batching), exact).relative_error < tolerance


@PRECISIONS
@pytest.mark.parametrize("inner", INNER_SOLVERS.names())
@pytest.mark.parametrize("name", ["maml", "maml-replay", "imaml-cg"])
def test_inner_solvers(name: str, inner: str, dtype: str, tolerance: float) -> None:
    if name != "imaml-cg" and not isinstance(inner_solver(inner), DifferentiableSolver):
        pytest.skip(f"the steps of {inner} cannot be differentiated")
    exact = gradient("cpu", "float64", name, inner=inner)
    assert agreement(gradient("cuda", dtype, name, inner=inner), exact).relative_error < tolerance


@pytest.mark.parametrize("name", ["maml", "imaml-cg"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_problems(problem: str, name: str) -> None:
    def one(device: str) -> Params:
        cell = Cell(
            problem=Part(name=problem, parameters=PROBLEMS[problem]),
            estimator=Part(name=name, parameters={"lr": 0.01, "lam": 5.0}),
            label=name,
            steps=3,
            dtype="float64",
            device=device,
        )
        made = build_problem(cell)
        grad = build_estimator(cell).meta_gradients(made, made.tasks(2, 0), made.theta()).grad
        return {key: tensor.cpu() for key, tensor in grad.items()}

    assert agreement(one("cuda:0"), one("cpu")).relative_error < 1e-8


@pytest.mark.parametrize("name", ["maml", "maml-replay", "imaml-cg"])
def test_tasks_side_by_side_are_those_one_by_one(name: str) -> None:
    problem = harness.problem("conv4", ways=5, shots=1, queries=5, dtype="float64", device="cuda")
    tasks, theta = problem.tasks(3, 0), problem.theta()
    loop, vmap = (
        harness.estimator(name, steps=3, lr=0.01, lam=50.0, batching=batching).meta_gradients(problem, tasks, theta)
        for batching in ("loop", "vmap")
    )
    assert agreement(vmap.grad, loop.grad).relative_error < 1e-8
    assert float(vmap.query_loss) == pytest.approx(float(loop.query_loss))
    assert vmap.counts == loop.counts


def test_float32_is_not_computed_in_tf32() -> None:
    """Which has 10 bits after the point, one too few for these numbers."""
    finer = 1 + 2**-11
    matrix = torch.full((1024, 1024), finer, device="cuda")
    torch.testing.assert_close(matrix @ torch.eye(1024, device="cuda"), matrix, rtol=0, atol=1e-4)
    images = torch.full((64, 64, 32, 32), finer, device="cuda")
    identity = torch.eye(64, device="cuda")[:, :, None, None]
    torch.testing.assert_close(F.conv2d(images, identity), images, rtol=0, atol=1e-4)


def test_workers_say_so() -> None:
    said: Provenance = LocalExecutor().ask("harness.machine:provenance", "cuda:0", 1)
    assert said.settings["matmul_tf32"] == said.settings["cudnn_tf32"] == "false"
    assert said.settings["cudnn_benchmark"] == "false"
