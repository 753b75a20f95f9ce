"""Runs with some of their metrics."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from harness.cell import METRICS, Measurement
from harness.errors import unknown
from harness.frame import metrics_held
from harness.store import LoadedRun


def select(runs: Sequence[LoadedRun], metrics: Collection[str]) -> list[LoadedRun]:
    """The runs with these metrics and no others; as they are where ``metrics`` is empty.

    Raises:
        BadInput: One of the metrics is neither known nor held by a run.
    """
    if not metrics:
        return list(runs)
    known = {*METRICS, *metrics_held(measurement for run in runs for measurement in run.measurements)}
    for name in metrics:
        if name not in known:
            raise unknown("metric", name, known)
    return [replace(run, processes=[_select(each, metrics) for each in run.measurements]) for run in runs]


def _select(measurement: Measurement, metrics: Collection[str]) -> Measurement:
    held = {name: samples for name, samples in measurement.metrics.items() if name in metrics}
    return measurement.model_copy(update={"metrics": held})
