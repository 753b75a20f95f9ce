"""JSON for github-action-benchmark's ``customSmallerIsBetter``."""

import math
from collections.abc import Sequence
from typing import Any

from harness.cell import Status, metric_of
from harness.exports.document import Document, json_bytes, left_out
from harness.exports.names import Named, named
from harness.frame import metrics_held
from harness.statistics import summarise
from harness.store import LoadedRun

ROUNDING = 1e-12
"""Gradient errors below this are rounding and written as this: their ratio from commit to commit would raise alerts."""


def github_action_benchmark(runs: Sequence[LoadedRun]) -> Document:
    """An entry a metric and cell: the median, in the metric's base unit, with the quartiles as range.

    The format has no place for a failure: cells that are not ``ok``, and medians that are not finite, are left out.
    """
    cells = named(runs)
    good = [each for each in cells if each.measurement.status is Status.OK]
    entries = [
        _entry(each, metric, samples)
        for metric in metrics_held(each.measurement for each in good)
        for each in good
        if (samples := each.measurement.metrics.get(metric))
    ]
    kept = [entry for entry in entries if math.isfinite(entry["value"])]
    failed = (str(each.measurement.status) for each in cells if each.measurement.status is not Status.OK)
    infinite = ["not finite"] * (len(entries) - len(kept))
    return Document(json_bytes(kept), [*left_out(failed, len(cells)), *left_out(infinite, len(entries), "values")])


def _entry(of: Named, metric: str, samples: Sequence[float]) -> dict[str, Any]:
    of_samples = summarise(samples)
    low, middle, high = (_written(metric, value) for value in (of_samples.low, of_samples.median, of_samples.high))
    return {
        "name": _code_span(f"{of.name}, {metric}; {of.setting}"),
        "unit": metric_of(metric).unit,
        "value": middle,
        **({"range": f"{low:g} to {high:g}"} if len(samples) > 1 else {}),
        "extra": f"median of {len(samples)}, quartiles" if len(samples) > 1 else "one sample",
    }


def _written(metric: str, value: float) -> float:
    return max(value, ROUNDING) if metric.endswith("_relative_error") else value


def _code_span(name: str) -> str:
    """The action puts names between backquotes in a Markdown table."""
    return name.replace("`", "'").replace("|", "/")
