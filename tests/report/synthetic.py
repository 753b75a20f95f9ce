"""Runs with known numbers, built without measuring anything."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.cell import Cell, Measurement, Status
from harness.manifest import Machine, Manifest, SuiteIdentity
from harness.store import LoadedRun

STARTED = "2026-01-02T03:04:05Z"
HOSTILE = "_<script>alert(\"x\")</script> $\\frac$ a|b\nc & 'd'"

MACHINE = Machine(
    system="Linux 6.1", processor="Some CPU", logical_cores=2, memory_bytes=8_000_000_000, device="cpu",
    device_name="Some CPU", threads=1, python="3.11.9", torch="2.13.0", harness="0.1.0",
)  # fmt: skip


def measurement(
    label: str = "MAML",
    steps: int = 1,
    *,
    estimator: str = "maml",
    parameters: dict[str, Any] | None = None,
    status: Status = Status.OK,
    reason: str | None = None,
    metrics: dict[str, list[float]] | None = None,
    **cell: Any,
) -> Measurement:
    part = {"name": estimator, "parameters": parameters or {}}
    problem = {"name": "linear", "parameters": {"dim": 50}}
    of = Cell.model_validate({"problem": problem, "estimator": part, "label": label, "steps": steps, **cell})
    return Measurement(key=of.key, cell=of, status=status, reason=reason, started_at=STARTED, metrics=metrics or {})


def curve(
    label: str, estimator: str, steps: Sequence[int], metrics: Callable[[int], dict[str, list[float]]], **cell: Any
) -> list[Measurement]:
    return [measurement(label, k, estimator=estimator, metrics=metrics(k), **cell) for k in steps]


def run(
    measurements: Sequence[Measurement], *, path: str = "runs/today", notices: Sequence[str] = (), **manifest: Any
) -> LoadedRun:
    content = {
        "suite": SuiteIdentity(name="fig2b", title="Memory and time", digest="ab" * 32),
        "machine": MACHINE,
        "created_at": STARTED,
        "command": ["imaml-bench", "run", "fig2b"],
        "planned": [m.key for m in measurements],
    }
    return LoadedRun(Path(path), Manifest.model_validate(content | manifest), list(measurements), list(notices))


def memory(slope: float, intercept: float) -> Callable[[int], dict[str, list[float]]]:
    """Peak memory, in bytes, on a straight line."""
    return lambda k: {"peak_bytes": [intercept + slope * k]}
