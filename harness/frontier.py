"""How many inner steps, and how large a model, fit into a memory budget."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import gcd
from typing import Any

from harness.cell import Cell, Part, Status
from harness.executors import LocalExecutor, WorkerDied
from harness.forecast import Forecast
from harness.registry import PROBLEMS

MOST_STEPS = 2**20
"""More inner steps than this are called any number."""
MOST_TIMES = 10_000
"""Models whose size parameters are more times those of the suite are not tried."""
EXPLORE_SECONDS = 600.0
"""Longest the search of one configuration may take: it makes some tens of forecasts."""


@dataclass(frozen=True)
class Model:
    """A problem of some size."""

    size: dict[str, Any]
    """Values of the problem's parameters that make it larger."""
    parameters: int
    """Numbers in θ."""


@dataclass(frozen=True)
class Frontier:
    """How far one configuration of an estimator goes on one problem."""

    cell: Cell
    """With the most inner steps that the suite has for it."""
    model: Model | None
    """The suite's; without a ``size`` where the problem does not say what makes it larger. ``None`` where even that is
    not known, as the worker that was asked has died."""
    steps: int
    """Largest K that fits with the suite's model; 0 where not even one step does."""
    largest: Model | None
    """Largest model that fits with the K of ``cell``, what its kernels take while they run guessed in proportion.

    ``None`` where none fits, or nobody knows what makes the problem larger.
    """
    without_scratch: bool
    """Whether memory that kernels take while they run is left out: all is then an upper bound."""
    reason: str | None = None
    """Why there is no answer, where there is none."""
    confirmed_steps: int | None = None
    """Largest K that fits as measured on the device; ``None`` where that was not asked for, or for any K."""

    @property
    def any_steps(self) -> bool:
        """Whether K does not matter."""
        return self.steps >= MOST_STEPS


def frontiers(
    cells: Sequence[Cell], budget_bytes: int, executor: LocalExecutor, *, confirm: bool = False
) -> Iterable[Frontier]:
    """One for each configuration among ``cells``, by forecast.

    What has to fit is everything PyTorch's allocator holds: θ, the tasks' data and the peak over them.

    Args:
        cells: A suite's; those that differ in K alone are one configuration.
        budget_bytes: What they may take.
        executor: Where forecasts are made, and cells measured.
        confirm: Find the largest K by measuring too, from the forecast on. Takes as long as the cells do.
    """
    most = {cell.family: cell for cell in sorted(cells, key=lambda cell: cell.steps)}
    for family in dict.fromkeys(cell.family for cell in cells):
        cell = most[family]
        try:
            found: Frontier = executor.ask(
                "harness.frontier:explore", cell, budget_bytes, limit_seconds=EXPLORE_SECONDS
            )
        except WorkerDied as death:
            found = Frontier(cell, None, 0, None, False, reason=str(death))
        if confirm and found.reason is None and not found.any_steps:
            yield confirmed(found, budget_bytes, executor)
        else:
            yield found


def explore(cell: Cell, budget_bytes: int) -> Frontier:
    """The frontier of one configuration by forecast; for a worker process."""
    from harness.forecast.rehearsals import Rehearsals

    rehearsals = Rehearsals(cell)
    here = rehearsals.forecast(cell.steps)
    base, multiple = unit(cell)
    model = sized(cell, multiple)
    if here.peak_bytes is None:
        return Frontier(cell, model, 0, None, False, reason=here.reason)
    steps = largest(lambda k: total(rehearsals.forecast(k)), budget_bytes, cell.steps, MOST_STEPS)
    best = _largest_model(cell, budget_bytes, here.peak_bytes) if base else None
    return Frontier(cell, model, steps, best, here.without_scratch)


def _largest_model(cell: Cell, budget_bytes: int, peak_bytes: int) -> Model | None:
    """Kernels of large models are not run for a forecast: they are taken to add what they add to the cell's own."""
    from harness.forecast.rehearsals import Rehearsals

    base, multiple = unit(cell)
    bare = Rehearsals(cell, scratch=False).forecast(cell.steps).peak_bytes
    share = peak_bytes / bare if bare else 1.0

    def memory(times: int) -> float | None:
        found = Rehearsals(_grown(cell, base, times), scratch=False).forecast(cell.steps)
        return None if found.peak_bytes is None else share * found.peak_bytes + (found.baseline_bytes or 0)

    most = largest(memory, budget_bytes, multiple, MOST_TIMES * multiple)
    return sized(cell, most) if most else None


def confirmed(forecast: Frontier, budget_bytes: int, executor: LocalExecutor) -> Frontier:
    """The largest K found again by measuring the memory of real cells, from the forecast on."""
    cell = forecast.cell.model_copy(update={"measure": ("memory",), "references": ()})
    [estimate] = executor.ask("harness.forecast:forecast", [cell], limit_seconds=EXPLORE_SECONDS)
    baseline = estimate.baseline_bytes or 0

    @cache
    def measured(steps: int) -> float:
        outcome = executor.measure(cell.model_copy(update={"steps": steps}))
        return outcome.metrics["peak_bytes"][0] + baseline if outcome.status is Status.OK else math.inf

    steps = max(1, forecast.steps)
    if not measured(steps) <= budget_bytes < measured(steps + 1):
        steps = largest(measured, budget_bytes, steps, MOST_STEPS)
    return replace(forecast, confirmed_steps=steps)


def total(forecast: Forecast) -> float | None:
    """All that the allocator holds at most; ``None`` where there is no forecast."""
    return None if forecast.peak_bytes is None else forecast.peak_bytes + (forecast.baseline_bytes or 0)


def largest(memory: Callable[[int], float | None], budget: float, start: int, most: int) -> int:
    """The largest n from 1 to ``most`` whose memory is within ``budget``, 0 where there is none.

    Memory must not fall as n grows; unknown memory counts as too much. Bracketing, with each next n by the power law
    through the two last ones: few evaluations where memory is near to one, as it is in steps and in sizes.
    """
    low, high, guess = 0, most + 1, min(max(start, 1), most)
    seen: list[tuple[int, float]] = []
    while high - low > 1:
        held = memory(guess)
        fits = held is not None and held <= budget
        low, high = (guess, high) if fits else (low, guess)
        if held is not None and 0 < held < math.inf:
            seen.append((guess, held))
        wanted = _crossing(seen[-2:], budget) if len(seen) < PATIENCE else None
        if wanted is None:
            wanted = (low + high) / 2 if low and high <= most else (2 * low if low else high / 2)
        guess = int(min(max(wanted, low + 1), high - 1))
    return low


PATIENCE = 12
"""Evaluations after which the interval is halved instead."""


def _crossing(seen: Sequence[tuple[int, float]], budget: float) -> float | None:
    """Where the power law through two points meets the budget: infinite where it is flat, ``None`` without two."""
    if budget <= 0 or len(seen) < 2 or seen[0][0] == seen[1][0]:
        return None
    (n, held), (other, held_there) = seen
    exponent = math.log(held_there / held) / math.log(other / n)
    if exponent <= 0:
        return math.inf
    logarithm = math.log(other) + math.log(budget / held_there) / exponent
    return math.exp(min(logarithm, 700.0))


def unit(cell: Cell) -> tuple[dict[str, Any], int]:
    """The size parameters' values in lowest terms, and the multiple of them that the cell has.

    All are scaled together, so that a width stays divisible by its heads.
    """
    from harness.worker import build_problem

    names: Sequence[str] = getattr(PROBLEMS.get(cell.problem.name), "size", ())
    problem = build_problem(cell.model_copy(update={"device": "meta"}))
    values = {name: getattr(problem, name) for name in names}
    multiple = gcd(*(each for value in values.values() for each in (value if isinstance(value, Sequence) else [value])))
    return {name: _times(value, 1, multiple) for name, value in values.items()}, multiple


def sized(cell: Cell, multiple: int) -> Model:
    """The cell's problem with its size parameters at a multiple of their lowest terms."""
    from harness.worker import build_problem

    base, _ = unit(cell)
    problem = build_problem(_grown(cell, base, multiple).model_copy(update={"device": "meta"}))
    count = sum(tensor.numel() for tensor in problem.theta().values())
    return Model({name: _times(value, multiple) for name, value in base.items()}, count)


def _grown(cell: Cell, base: dict[str, Any], multiple: int) -> Cell:
    parameters = {**cell.problem.parameters, **{name: _times(value, multiple) for name, value in base.items()}}
    return cell.model_copy(update={"problem": Part(name=cell.problem.name, parameters=parameters)})


def _times(value: Any, factor: int, divisor: int = 1) -> Any:
    return [each * factor // divisor for each in value] if isinstance(value, Sequence) else value * factor // divisor
