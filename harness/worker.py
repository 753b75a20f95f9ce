"""One cell measured, in the process this is called in."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from harness import passes
from harness.attention import AttentionWatch
from harness.bilevel import Checked, Problem
from harness.cell import MATH_ATTENTION, Cell, Part, Status
from harness.conduct import Diverged, Surroundings, require_gradient, require_result
from harness.errors import BadInput, first_line
from harness.estimators import BatchMetaGradient, Estimator
from harness.estimators.base import Diagnostics
from harness.estimators.implicit import Implicit
from harness.inner.spec import complete
from harness.linear_solvers import extreme_eigenvalues
from harness.machine import configure
from harness.meters.accuracy import agreement
from harness.meters.counters import count_flops
from harness.meters.host import rss_bytes, rss_peak_bytes
from harness.out_of_memory import is_out_of_memory
from harness.parts import PLACE, draw_tasks, first_draw, require_placeable
from harness.passes import Found, Metrics
from harness.pytree import Params
from harness.references import NoReference, reference_gradient, require_references
from harness.registry import ESTIMATORS, PROBLEMS, Registry, all_parameters

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
    own = dict(zip(PLACE, (dtype or cell.dtype, cell.device, cell.seed + draw), strict=True))
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


def resolved(cells: Sequence[Cell]) -> list[Cell]:
    """The cells checked, with every parameter of their problems and estimators in place of those the suite gave."""
    check(cells)
    problems = {part.model_dump_json(): part for part in (cell.problem for cell in cells)}
    whole_problems = {text: _whole(part, PROBLEMS, PLACE) for text, part in problems.items()}
    estimators = {cell.estimator.model_dump_json(): cell for cell in cells}
    whole_estimators = {text: _whole_estimator(cell) for text, cell in estimators.items()}
    return [
        cell.model_copy(
            update={
                "problem": whole_problems[cell.problem.model_dump_json()],
                "estimator": whole_estimators[cell.estimator.model_dump_json()],
            }
        )
        for cell in cells
    ]


def _whole(part: Part, registry: Registry, own: Collection[str]) -> Part:
    """The part with all of its parameters but the cell's own."""
    whole = all_parameters(registry.get(part.name), part.parameters)
    return part.completed({name: value for name, value in whole.items() if name not in own})


def _whole_estimator(cell: Cell) -> Part:
    part = _whole(cell.estimator, ESTIMATORS, ["steps"])
    inner = part.parameters.get("inner")
    if not isinstance(inner, str) or not isinstance(build_estimator(cell), Estimator):  # pyright: ignore[reportUnnecessaryIsInstance]
        return part
    return part.completed({**part.parameters, "inner": complete(inner)})


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
    except Diverged as error:
        return Outcome(Status.DIVERGED, str(error))
    except BadInput as error:
        return Outcome(Status.CRASH, str(error))
    except Exception as error:
        status = Status.OOM if is_out_of_memory(error) else Status.CRASH
        return Outcome(status, f"{type(error).__name__}: {first_line(error)}")
    return Outcome(Status.OK)


def _passes(cell: Cell, first_call: Callable[[int], None], traces: Path | None) -> Iterator[Found]:
    """The passes asked for, in the order that serves them: the first meets a process nothing has run in yet."""
    began, device = perf_counter(), torch.device(cell.device)
    estimator = build_estimator(cell)
    problem = build_problem(cell)
    if isinstance(problem, Checked):
        problem.trust()  # looked over by check(); the first call is to meet a process nothing has run in
    tasks = draw_tasks(problem, cell.tasks, cell.seed)
    theta = problem.theta()

    def call() -> BatchMetaGradient:
        return estimator.meta_gradients(problem, tasks, theta)

    surroundings = Surroundings.of(theta, tasks)

    def unless_changed(found: Found) -> Found:
        """What a pass found, if the next one will meet what it met."""
        surroundings.require_unchanged(theta, tasks)
        return found

    yield unless_changed(_first_call(cell, call, theta, first_call))
    if "memory" in cell.measure:
        yield unless_changed(passes.memory(call, device))
    seconds: float | None = None
    if "time" in cell.measure:
        timed = unless_changed(passes.times(cell, call, device))
        yield timed
        seconds = median(timed.metrics["wall_seconds"])
    if "phases" in cell.measure:
        yield unless_changed(passes.phases(call, device, seconds))
    if seconds is not None and device.type == "cuda":
        left = cell.time_limit_seconds - (perf_counter() - began)
        yield unless_changed(passes.energy(call, device, seconds, ENERGY_SHARE * left))
    if traces is not None:
        passes.trace(cell, call, device, traces)
    if "accuracy" in cell.measure:
        for draw in range(cell.draws):
            yield unless_changed(_accuracy(cell, estimator, draw))
    elif isinstance(estimator, Implicit):
        _require_solved((estimator.meta_gradient(problem, task, theta).diagnostics for task in tasks), estimator, cell)


def _first_call(
    cell: Cell, call: Callable[[], BatchMetaGradient], theta: Params, announce: Callable[[int], None]
) -> Found:
    """The call that warms the process up: what the operating system saw of a first use, and the work counted."""
    results: list[BatchMetaGradient] = []

    def first() -> None:
        results.append(call())

    metrics: Metrics = {}
    attention = AttentionWatch()

    def counted() -> None:
        with attention:
            if "counters" in cell.measure:
                metrics["flops"] = [count_flops(first)]
            else:
                first()

    if "memory" in cell.measure:
        announce(rss_bytes())
        metrics["rss_peak_bytes"] = [rss_peak_bytes(counted)]
    else:
        counted()
    result = require_result(results[0], theta, cell.steps)
    if "counters" in cell.measure:
        metrics |= {
            "gradient_count": [result.counts.gradients],
            "hvp_count": [result.counts.hvps],
            "step_size_hvp_count": [result.counts.step_size_hvps],
        }
    notes = {"peak_bytes": MATH_ATTENTION} if attention.math else {}
    return Found({**metrics, "query_loss": [float(result.query_loss)]}, notes)


def _require_solved(diagnostics: Iterable[Diagnostics], estimator: Estimator, cell: Cell) -> None:
    """The linear solves came to something.

    Lost is a series that grew, once it is further from solving the system than x = 0 is (a residual of 1); and any x
    with a residual above 1/√eps, which no system has that its dtype can solve: those of CG, which need not fall, stay
    below the root of its condition number.
    """
    for linear in (each.linear for each in diagnostics if each.linear is not None):
        residual = linear.residuals[-1]
        too_large = torch.finfo(residual.dtype).eps ** -0.5
        lost = (linear.diverged & ~(residual <= 1)) | ~(residual <= too_large)
        if bool(lost.any()):
            size = f"‖b − Bx‖ / ‖b‖ = {float(residual.max()):.2g}, where x = 0 has 1"
            remedy = estimator.remedy if isinstance(estimator, Implicit) else Implicit.remedy
            raise Diverged(f"the linear solve diverged at K = {cell.steps}: {size}; take {remedy}")


def _accuracy(cell: Cell, estimator: Estimator, draw: int) -> Found:
    """One seed: the estimator in float64 against each reference, and in the cell's dtype against itself."""
    problem = build_problem(cell, dtype="float64", draw=draw)
    tasks = draw_tasks(problem, cell.tasks, cell.seed + draw)
    theta = problem.theta()
    results = [estimator.meta_gradient(problem, task, theta) for task in tasks]
    _require_solved((result.diagnostics for result in results), estimator, cell)
    for result in results:
        require_gradient(result.grad, theta, cell.steps)
    grad = _mean([result.grad for result in results])
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
        own = estimator.meta_gradients(rounded, draw_tasks(rounded, cell.tasks, cell.seed + draw), rounded.theta())
        metrics["rounding_relative_error"] = [agreement(own.grad, grad).relative_error]
    return Found(metrics, notes)


def _smallest_curvature(diagnostics: Diagnostics) -> float:
    curvature = diagnostics.objective.uncounted().curvature(diagnostics.phi)
    return extreme_eigenvalues(curvature, diagnostics.phi)[0]


def _mean(grads: Sequence[Params]) -> Params:
    return {name: sum((grad[name] for grad in grads[1:]), grads[0][name]) / len(grads) for name in grads[0]}
