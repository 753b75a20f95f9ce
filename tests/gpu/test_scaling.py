"""Memory of the paper's methods on its 20-way 5-shot network: ``make test-gpu``."""

from collections.abc import Iterator

import pytest
import torch

from harness.cell import Cell, Part, Scalar, Status
from harness.executors import LocalExecutor
from harness.meters.allocator import allocator_peak
from harness.scaling import Law, scaling
from harness.worker import build_estimator, build_problem

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]


def cell(estimator: str, steps: int, **own: Scalar) -> Cell:
    return Cell(
        problem=Part(name="conv4", parameters={"ways": 20, "shots": 5}),
        estimator=Part(name=estimator, parameters={"lr": 0.01, "lam": 50.0, **own}),
        label=estimator,
        steps=steps,
        device="cuda:0",
        measure=("memory",),
    )


def peaks(*cells: Cell) -> Iterator[float]:
    for measurement in LocalExecutor().run(cells):
        assert measurement.status is Status.OK, measurement.reason
        assert measurement.metrics["retained_bytes"] == [0, 0]
        yield measurement.metrics["peak_bytes"][0]


def test_imaml_is_flat_in_the_inner_steps_to_one_per_cent() -> None:
    found = list(peaks(*(cell("imaml-cg", steps) for steps in (1, 4, 16, 64))))
    assert max(found) < 1.01 * min(found)


def test_imaml_is_flat_in_the_cg_steps_to_two_per_cent() -> None:
    found = list(peaks(*(cell("imaml-cg", 4, cg_steps=cg_steps) for cg_steps in (1, 2, 5, 20))))
    assert max(found) < 1.02 * min(found)


def test_maml_is_linear_in_the_inner_steps() -> None:
    """Each step holds its activations: more than 10 MB of 100 images through 4 layers of 64 filters."""
    steps = (1, 2, 4, 8, 16, 32)
    found = scaling("peak_bytes", dict(zip(steps, peaks(*(cell("maml", each) for each in steps)), strict=True)))
    assert found.law is Law.LINEAR
    assert found.slope > 10e6


@pytest.mark.parametrize("estimator", ["maml", "maml-replay", "imaml-cg"])
def test_a_peak_is_the_same_at_every_call(estimator: str) -> None:
    """Autograd works, and lets go of its results, on a thread of its own."""
    one = cell(estimator, 2)
    problem, rule, device = build_problem(one), build_estimator(one), torch.device(one.device)
    tasks, theta = problem.tasks(1, 0), problem.theta()

    def call() -> None:
        rule.meta_gradients(problem, tasks, theta)

    call()
    found = [allocator_peak(call, device) for _ in range(30)]
    assert {each.left_bytes for each in found} == {0}
    assert max(each.peak_bytes for each in found) < 1.01 * min(each.peak_bytes for each in found)
