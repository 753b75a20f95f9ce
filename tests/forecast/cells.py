"""Cells to forecast, and what measuring them says."""

from typing import Any

import torch

from harness.cell import Cell, Part
from harness.forecast import Forecast, forecast
from harness.meters.allocator import allocator_peak
from harness.worker import build_estimator, build_problem

PROBLEMS: dict[str, dict[str, Any]] = {
    "linear": {"dim": 8, "n": 16},
    "logistic": {"dim": 6, "n": 20},
    "sinusoid": {"hidden": [6, 5], "activation": "tanh"},
    "mlp": {"width": 5, "depth": 2, "inputs": 3, "shots": 6, "queries": 6, "activation": "softplus"},
    "transformer": {"layers": 1, "width": 4, "heads": 2, "context": 4, "vocabulary": 4, "shots": 3, "queries": 3},
    "conv4": {"ways": 5, "shots": 1, "queries": 1, "filters": 20},
}


def cell(problem: str, estimator: str, steps: int, own: dict[str, Any] | None = None, **changes: Any) -> Cell:
    """A small one, with λ = 1."""
    return Cell(
        problem=Part(name=problem, parameters=PROBLEMS[problem]),
        estimator=Part(name=estimator, parameters={"lr": 0.01, "lam": 1.0, **(own or {})}),
        label=estimator,
        steps=steps,
        **changes,
    )


def measured(cell: Cell) -> int:
    """The allocator's peak of one meta-gradient, the second of its process."""
    estimator, problem = build_estimator(cell), build_problem(cell)
    tasks, theta = problem.tasks(cell.tasks, cell.seed), problem.theta()

    def call() -> None:
        estimator.meta_gradients(problem, tasks, theta)

    call()
    return allocator_peak(call, torch.device(cell.device)).peak_bytes


def only(cell: Cell) -> Forecast:
    """The forecast of one cell."""
    [result] = forecast([cell])
    return result
