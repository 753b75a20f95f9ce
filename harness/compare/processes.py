"""What the processes of a cell say of its time."""

import math
from collections.abc import Callable, Sequence
from statistics import median

from harness.cell import Measurement
from harness.compare.times import Times
from harness.disturbance import taken_by_others


def samples(processes: Sequence[Measurement], metric: str) -> list[list[float]]:
    """The metric's samples of each process that has some."""
    return [each.metrics[metric] for each in processes if each.metrics.get(metric)]


def time_metric(processes: Sequence[Measurement]) -> str:
    """The clock to judge by: the device's own where it has one."""
    return "cuda_seconds" if samples(processes, "cuda_seconds") else "wall_seconds"


def timed(processes: Sequence[Measurement], metric: str) -> dict[int, Measurement]:
    """The processes whose times are all numbers above 0, by which of the cell's they are."""
    return {
        each.repeat: each
        for each in processes
        if all(0 < seconds < math.inf for seconds in each.metrics.get(metric) or [0.0])
    }


def undisturbed(processes: Sequence[Measurement], metric: str, logical_cores: int) -> dict[int, Measurement]:
    """Those of them that had a core to themselves."""
    found = timed(processes, metric)
    return {repeat: each for repeat, each in found.items() if not taken_by_others(each, logical_cores)}


def typical_call(process: Measurement, metric: str) -> float:
    """Median of the timed calls."""
    return median(process.metrics[metric])


def fastest_call(process: Measurement, metric: str) -> float:
    """Shortest call, those that warmed the process up included."""
    warmup = process.metrics.get("warmup_seconds", []) if metric == "wall_seconds" else []
    return min([*process.metrics[metric], *(seconds for seconds in warmup if seconds > 0)])


def times_of(
    base: Sequence[Measurement],
    head: Sequence[Measurement],
    metric: str,
    call: Callable[[Measurement, str], float] = typical_call,
) -> Times:
    """The times of a cell, at least one process a side, each of which ``call`` stands for."""
    return Times(
        [call(each, metric) for each in base],
        [call(each, metric) for each in head],
        min(fastest_call(each, metric) for each in base),
        min(fastest_call(each, metric) for each in head),
    )
