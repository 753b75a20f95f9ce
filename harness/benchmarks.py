"""A suite's cells as pytest-benchmark tests: its timing and tables, with this harness's other meters beside them."""

import os
from typing import Any

import pytest
import torch

from harness.cell import Cell, Status
from harness.machine import resolve_device
from harness.parts import draw_tasks
from harness.passes import Found
from harness.statistics import summarise
from harness.suite import load_suite
from harness.worker import build_estimator, build_problem, measure


def cells(suite: str, device: str = "auto", threads: int = 1) -> list[Any]:
    """The suite's cells as ``pytest.mark.parametrize`` takes them, named after their label and inner steps."""
    found = load_suite(suite).cells(resolve_device(device), threads)
    return [pytest.param(cell, id=f"{cell.label}-{cell.point}") for cell in found]


def bench(benchmark: Any, cell: Cell) -> None:
    """Time one meta-gradient of ``cell`` with pytest-benchmark; its other metrics go to ``extra_info``.

    Each is the median of its samples, named as in :data:`harness.cell.METRICS`, so with its unit. They are measured
    before anything is timed, in the same process: for a process a cell, use ``imaml-bench run``.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's log lines would land between pytest's
    passes = tuple(name for name in cell.measure if name != "time")
    metrics: dict[str, list[float]] = {}

    def collect(found: Found) -> None:
        for name, samples in found.metrics.items():
            metrics.setdefault(name, []).extend(samples)

    outcome = measure(cell.model_copy(update={"measure": passes}), collect)
    if outcome.status is not Status.OK:
        pytest.fail(f"{outcome.status}: {outcome.reason}")
    benchmark.group = cell.point
    benchmark.extra_info.update({name: summarise(samples).median for name, samples in metrics.items()})
    estimator, problem = build_estimator(cell), build_problem(cell)
    tasks, theta = draw_tasks(problem, cell.tasks, cell.seed), problem.theta()

    def call() -> None:
        estimator.meta_gradients(problem, tasks, theta)
        if cell.device != "cpu":
            torch.cuda.synchronize(cell.device)

    benchmark.pedantic(call, rounds=cell.min_samples, warmup_rounds=1, iterations=1)
