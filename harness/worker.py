"""One cell measured, in the process this is called in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from harness import passes
from harness.bilevel import Problem
from harness.cell import Cell, Status
from harness.errors import BadInput, first_line
from harness.estimators import BatchMetaGradient, Estimator
from harness.estimators.base import Diagnostics
from harness.linear_solvers import extreme_eigenvalues
from harness.machine import configure
from harness.meters.accuracy import agreement
from harness.meters.counters import count_flops
from harness.meters.host import rss_bytes, rss_peak_bytes
from harness.parts import first_draw, require_placeable
from harness.passes import Found, Metrics
from harness.pytree import Params
from harness.references import NoReference, reference_gradient, require_references
from harness.registry import ESTIMATORS, PROBLEMS

ENERGY_SHARE = 0.5
"""Most of the time that is left to a cell after its times which measuring its energy may take."""


@dataclass(frozen=True)
class Outcome:
    """How a cell ended."""

    status: Status
    reason: str | None = None


def build_estimator(cell: Cell) -> Estimator:
    """The cell's estimator; a bad parameter is a :class:`BadInput`."""
    return ESTIMATORS.create(cell.estimator.name, steps=cell.steps, **cell.estimator.parameters)


def build_problem(cell: Cell, *, dtype: str | None = None, draw: int = 0) -> Problem:
    """The cell's problem on its device, of its ``draw``-th seed; a bad parameter is a :class:`BadInput`."""
    name, parameters = cell.problem.name, cell.problem.parameters
    own = {"dtype": dtype or cell.dtype, "device": cell.device, "seed": cell.seed + draw}
    for key in (each for each in own if each in parameters):
        raise BadInput(f"problem '{name}': {key}: is the cell's own; in a suite, dtype and seed belong in [grid]")
    require_placeable(name)
    return PROBLEMS.create(name, **own, **parameters)


def check(cells: Sequence[Cell]) -> None:
    """Build every part the cells need once, and draw a task, which fills the image sources' caches.

    Raises:
        BadInput: A part cannot be built, a problem's θ or tasks cannot be had, or a reference does not exist for an
            estimator; says which.
    """
    for cell in {cell.problem.model_dump_json(): cell for cell in cells}.values():
        first_draw(build_problem(cell), cell.seed, cell.problem.name)
    estimators = {(cell.estimator.model_dump_json(), cell.steps): build_estimator(cell) for cell in cells}
    judged = [cell for cell in cells if "accuracy" in cell.measure]
    for cell in {(cell.estimator.model_dump_json(), cell.references): cell for cell in judged}.values():
        estimator = estimators[cell.estimator.model_dump_json(), cell.steps]
        require_references(cell.references, estimator)


def measure(
    cell: Cell,
    emit: Callable[[Found], None],
    first_call: Callable[[int], None] = lambda rss_bytes: None,
    traces: Path | None = None,
) -> Outcome:
    """Measure ``cell`` pass by pass. A failure is returned, not raised.

    Sets this process's thread count and turns TF32 off.

    Args:
        cell: What to measure.
        emit: Is given what each pass found as soon as it is known.
        first_call: Is told that the first call begins, and of the resident bytes before it.
        traces: Folder to leave the memory timeline of one call in; none is recorded without it.
    """
    configure(cell.threads)
    try:
        for found in _passes(cell, first_call, traces):
            emit(found)
    except _Diverged as error:
        return Outcome(Status.DIVERGED, str(error))
    except BadInput as error:
        return Outcome(Status.CRASH, str(error))
    except Exception as error:
        status = Status.OOM if _is_out_of_memory(error) else Status.CRASH
        return Outcome(status, f"{type(error).__name__}: {first_line(error)}")
    return Outcome(Status.OK)


class _Diverged(Exception):
    pass


_WANT_OF_MEMORY = (
    *("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED"),
    "NVML_SUCCESS == r INTERNAL ASSERT FAILED",  # torch asks NVML for the words of its error, and NVML may not answer
)
"""How the CPU's allocator, the CUDA runtime and its libraries (cuBLAS, cuDNN, …) say it without a type of its own."""

_NO_ENGINE = "unable to find an engine"
"""How cuDNN says that none of its algorithms would do, for want of memory or of support."""


def _was_refused_memory() -> bool:
    """Whether a CUDA allocator of this process ran out of memory, whatever became of the error."""
    return any(torch.cuda.memory_stats(index).get("num_ooms", 0) for index in range(torch.cuda.device_count()))


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error) if isinstance(error, RuntimeError) else ""
    return any(each in words for each in _WANT_OF_MEMORY) or (_NO_ENGINE in words and _was_refused_memory())


def _passes(cell: Cell, first_call: Callable[[int], None], traces: Path | None) -> Iterator[Found]:
    """The passes asked for, in the order that serves them: the first meets a process nothing has run in yet."""
    began, device = perf_counter(), torch.device(cell.device)
    estimator = build_estimator(cell)
    problem = build_problem(cell)
    tasks = problem.tasks(cell.tasks, cell.seed)
    theta = problem.theta()

    def call() -> BatchMetaGradient:
        return estimator.meta_gradients(problem, tasks, theta)

    yield _first_call(cell, call, first_call)
    if "memory" in cell.measure:
        yield passes.memory(call, device)
    seconds: float | None = None
    if "time" in cell.measure:
        timed = passes.times(cell, call, device)
        yield timed
        seconds = median(timed.metrics["wall_seconds"])
    if "phases" in cell.measure:
        yield passes.phases(call, device, seconds)
    if seconds is not None and device.type == "cuda":
        left = cell.time_limit_seconds - (perf_counter() - began)
        yield passes.energy(call, device, seconds, ENERGY_SHARE * left)
    if traces is not None:
        passes.trace(cell, call, device, traces)
    if "accuracy" in cell.measure:
        for draw in range(cell.draws):
            yield _accuracy(cell, estimator, draw)


def _first_call(cell: Cell, call: Callable[[], BatchMetaGradient], announce: Callable[[int], None]) -> Found:
    """The call that warms the process up: what the operating system saw of a first use, and the work counted."""
    result: BatchMetaGradient | None = None

    def first() -> None:
        nonlocal result
        result = call()

    metrics: Metrics = {}

    def counted() -> None:
        if "counters" in cell.measure:
            metrics["flops"] = [count_flops(first)]
        else:
            first()

    if "memory" in cell.measure:
        announce(rss_bytes())
        metrics["rss_peak_bytes"] = [rss_peak_bytes(counted)]
    else:
        counted()
    assert result is not None
    _require_finite(result.grad, cell)
    if "counters" in cell.measure:
        metrics |= {
            "gradient_count": [result.counts.gradients],
            "hvp_count": [result.counts.hvps],
            "step_size_hvp_count": [result.counts.step_size_hvps],
        }
    return Found({**metrics, "query_loss": [float(result.query_loss)]})


def _require_finite(grad: Params, cell: Cell) -> None:
    if not all(bool(tensor.isfinite().all()) for tensor in grad.values()):
        raise _Diverged(f"the meta-gradient is not finite at K = {cell.steps}")


def _accuracy(cell: Cell, estimator: Estimator, draw: int) -> Found:
    """One seed: the estimator in float64 against each reference, and in the cell's dtype against itself."""
    problem = build_problem(cell, dtype="float64", draw=draw)
    tasks = problem.tasks(cell.tasks, cell.seed + draw)
    theta = problem.theta()
    results = [estimator.meta_gradient(problem, task, theta) for task in tasks]
    grad = _mean([result.grad for result in results])
    _require_finite(grad, cell)
    metrics: Metrics = {"inner_residual": [max(result.diagnostics.inner_residual for result in results)]}
    solves = [result.diagnostics for result in results if result.diagnostics.linear is not None]
    if solves:
        metrics["linear_residual"] = [max(solve.linear_residual or 0.0 for solve in solves)]
        metrics["negative_curvature"] = [float(any(solve.negative_curvature for solve in solves))]
        metrics["smallest_curvature"] = [min(map(_smallest_curvature, solves))]
    notes: dict[str, str] = {}
    for kind in cell.references:
        try:
            exact = _mean(
                [
                    reference_gradient(kind, problem, task, theta, estimator, result.diagnostics.lr)
                    for task, result in zip(tasks, results, strict=True)
                ]
            )
        except NoReference as error:
            notes[f"{kind}_relative_error"] = f"{error} (seed {cell.seed + draw})"
            continue
        for name, value in asdict(agreement(grad, exact)).items():
            if name == "cosine" or not estimator.direction_only:
                metrics[f"{kind}_{name}"] = [value]
    if cell.dtype != "float64" and not estimator.direction_only:
        rounded = build_problem(cell, draw=draw)
        own = estimator.meta_gradients(rounded, rounded.tasks(cell.tasks, cell.seed + draw), rounded.theta())
        metrics["rounding_relative_error"] = [agreement(own.grad, grad).relative_error]
    return Found(metrics, notes)


def _smallest_curvature(diagnostics: Diagnostics) -> float:
    curvature = diagnostics.objective.uncounted().curvature(diagnostics.phi)
    return extreme_eigenvalues(curvature, diagnostics.phi)[0]


def _mean(grads: Sequence[Params]) -> Params:
    return {name: sum((grad[name] for grad in grads[1:]), grads[0][name]) / len(grads) for name in grads[0]}
