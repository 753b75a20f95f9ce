"""pytest-benchmark's JSON, for its ``compare`` and whatever else reads it."""

import math
from collections.abc import Sequence
from typing import Any

import pytest_benchmark
from pytest_benchmark.stats import Stats

from harness.cell import Measurement, Status
from harness.errors import BadInput
from harness.exports.document import Document, json_bytes, left_out
from harness.exports.names import Named, named
from harness.manifest import Machine, Manifest
from harness.statistics import summarise
from harness.store import LoadedRun


def pytest_benchmark_json(runs: Sequence[LoadedRun]) -> Document:
    """The cells as benchmarks: wall times as the samples, medians of the other metrics in ``extra_info``.

    The format has no place for a failure: cells that are not ``ok`` and those without finite wall times are left out.
    Medians that are not finite are ``null``.

    Raises:
        BadInput: The runs are of different machines or git revisions, where the format has room for one.
    """
    manifest = _common_manifest(runs)
    cells = named(runs)
    obstacles = [_obstacle(each.measurement) for each in cells]
    content = {
        "machine_info": _machine_info(manifest.machine),
        "commit_info": {
            "id": manifest.git_revision or "unversioned",
            "time": None,
            "author_time": None,
            "dirty": bool(manifest.git_dirty),
            "project": "imaml-bench",
            "branch": "(unknown)",
        },
        "benchmarks": [_benchmark(each) for each, obstacle in zip(cells, obstacles, strict=True) if obstacle is None],
        "datetime": manifest.created_at,
        "version": pytest_benchmark.__version__,
    }
    return Document(json_bytes(content), left_out((each for each in obstacles if each), len(cells)))


def _common_manifest(runs: Sequence[LoadedRun]) -> Manifest:
    first, *others = (run.manifest for run in runs)
    if any((each.machine, each.git_revision) != (first.machine, first.git_revision) for each in others):
        raise BadInput(
            "a pytest-benchmark file describes one machine and one git revision, and these runs differ in them; "
            "export each by itself"
        )
    return first


def _obstacle(measurement: Measurement) -> str | None:
    if measurement.status is not Status.OK:
        return str(measurement.status)
    times = measurement.metrics.get("wall_seconds", [])
    return None if times and all(map(math.isfinite, times)) else "without finite wall_seconds"


def _machine_info(machine: Machine) -> dict[str, Any]:
    system, _, architecture = machine.system.rpartition(" ")
    return {
        **machine.model_dump(mode="json"),
        "system": system or architecture,
        "machine": architecture,
        "python_version": machine.python,
        "cpu": {"brand_raw": machine.processor, "count": machine.logical_cores},
    }


def _benchmark(of: Named) -> dict[str, Any]:
    cell, metrics = of.measurement.cell, of.measurement.metrics
    stats = Stats()
    for seconds in metrics["wall_seconds"]:
        stats.update(seconds)
    params = cell.model_dump(mode="json", include={"label", "steps", "tasks", "dtype", "device", "threads", "seed"})
    others = {name: samples for name, samples in metrics.items() if samples and name != "wall_seconds"}
    medians = {name: summarise(samples).median for name, samples in others.items()}
    return {
        "group": of.setting,
        "name": of.name,
        "fullname": of.full_name,
        "params": {"estimator": cell.estimator.name, "problem": cell.problem.name, **params},
        "param": None,
        "extra_info": {"key": of.measurement.key, "notes": of.measurement.notes, **medians},
        "options": {"min_rounds": cell.min_samples},
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": 1},
    }
