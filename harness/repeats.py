"""A cell measured in several processes, as one measurement."""

from collections.abc import Sequence
from statistics import median

from harness.cell import METRICS, Measurement, Status

DIFFERS = "differs between processes"
"""The note on a number that should not."""


def merged(processes: Sequence[Measurement]) -> Measurement:
    """One measurement of the processes of one cell, in their order.

    Samples that differ from run to run are strung together, and ``process_seconds`` holds each process's median wall
    time. Numbers that should not differ are kept once; where they do differ, all are kept and a note says so. The first
    failure is the status of all.
    """
    first, *others = processes
    if not others:
        return first
    failed = next((each for each in processes if each.status is not Status.OK), first)
    metrics: dict[str, list[float]] = {}
    notes = {name: note for each in processes for name, note in each.notes.items()}
    for name in dict.fromkeys(name for each in processes for name in each.metrics):
        held = [each.metrics[name] for each in processes if name in each.metrics]
        if name in METRICS and METRICS[name].deterministic:
            if all(str(values) == str(held[0]) for values in held):  # as text, so that nan is nan
                metrics[name] = held[0]
                continue
            notes[name] = DIFFERS
        metrics[name] = [value for values in held for value in values]
    medians = [median(each.metrics["wall_seconds"]) for each in processes if each.metrics.get("wall_seconds")]
    if medians:
        metrics["process_seconds"] = medians
    return first.model_copy(
        update={"status": failed.status, "reason": failed.reason, "metrics": metrics, "notes": notes}
    )
