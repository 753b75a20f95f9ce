"""One meta-gradient of a cell, run on tensors without data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.bilevel import Task
from harness.cell import Cell
from harness.estimators import Estimator
from harness.forecast.live import Kernel, Record, Sizes, recording
from harness.forecast.torch_private import FakeTensorMode, pytree
from harness.meters.allocator import BLOCK_BYTES, backward_on_this_thread
from harness.parts import draw_tasks
from harness.pytree import Params
from harness.worker import build_estimator, build_problem

DISTINCT_TASKS = 3
"""Tasks taken one by one hold from the third on what they held before: the running mean and the task before."""


@dataclass(frozen=True)
class Rehearsal:
    """What a cell's computation holds, short of what its kernels take while they run."""

    record: Record
    baseline_bytes: int
    """θ and the tasks' data, which are there before."""


def rehearse(cell: Cell, returned: Mapping[Kernel, Sizes]) -> Rehearsal:
    """Run the cell's meta-gradient without computing it: every tensor has a shape and no values.

    The run is on the cell's kind of device where this machine has one, and otherwise stands in on the CPU.

    Args:
        cell: What to compute.
        returned: Bytes that kernels are known to return.
    """
    estimator, kind = build_estimator(cell), torch.device(cell.device).type
    device = cell.device if kind == "cpu" or torch.cuda.is_available() else "cpu"
    problem = build_problem(cell.model_copy(update={"device": device}))
    theta, tasks = _drawn(cell, _tasks(cell, estimator))
    tensors = [t for t in pytree.tree_leaves([theta, *([t.support, t.query] for t in tasks)]) if isinstance(t, Tensor)]
    block = BLOCK_BYTES.get(kind, 1)
    baseline_bytes = sum(-(-t.untyped_storage().nbytes() // block) * block for t in tensors)
    with FakeTensorMode(allow_non_fake_inputs=True), backward_on_this_thread():
        theta = _hollow(theta, device)
        tasks = [Task(_hollow(task.support, device), _hollow(task.query, device)) for task in tasks]
        with recording(kind, returned) as record:
            estimator.meta_gradients(problem, tasks, theta)
    return Rehearsal(record, baseline_bytes)


def _drawn(cell: Cell, tasks: int) -> tuple[Params, Sequence[Task]]:
    """θ and tasks, of which only the shapes matter: on the device ``meta`` a problem need not draw anything."""
    problem = build_problem(cell.model_copy(update={"device": "meta"}))
    return problem.theta(), draw_tasks(problem, tasks, cell.seed)


def _tasks(cell: Cell, estimator: Estimator) -> int:
    one_by_one = estimator.batching == "loop" and type(estimator).meta_gradients is Estimator.meta_gradients
    return min(cell.tasks, DISTINCT_TASKS) if one_by_one else cell.tasks


def _hollow(data: Any, device: str) -> Any:
    """The same structure of tensors without data; to be called within a ``FakeTensorMode``."""
    return pytree.tree_map_only(
        Tensor, lambda t: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=device), data
    )
