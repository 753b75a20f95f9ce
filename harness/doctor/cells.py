"""Whole cells: measured twice alike, and forecast as they are then measured."""

from collections.abc import Callable, Sequence

from harness.cell import METRICS, Cell, Measurement, Part, Status, Value
from harness.doctor.finding import Finding
from harness.forecast import Forecast

REPEATED, FORECAST = "a cell measured twice", "forecast peak of a conv4 cell"
FORECAST_TOLERANCE = {"cpu": 0.01, "cuda": 0.1}
"""By kind of device: CUDA's allocator hands out up to 1 MiB that is left over of a block together with it."""
_FORECAST_SIZE: dict[str, dict[str, Value]] = {
    "cpu": {"filters": 16, "ways": 5, "shots": 1, "queries": 3},
    "cuda": {"ways": 20, "shots": 5},
}
"""The network and its tasks. On a GPU large enough for such left-overs to be a small part."""


def repeated(device: str, measure: Callable[[Cell], Measurement]) -> list[Finding]:
    """The deterministic metrics of one small cell are the same, bit by bit, in two processes."""
    cell = Cell(
        problem=Part(name="linear", parameters={"dim": 8, "n": 16}),
        estimator=Part(name="imaml-cg", parameters={"lr": 0.5, "lam": 0.5, "cg_steps": 5}),
        label="iMAML",
        steps=4,
        dtype="float64",
        device=device,
        measure=("memory", "counters", "accuracy"),
        references=("backprop", "implicit"),
    )
    first, second = measure(cell), measure(cell)
    for measurement in (first, second):
        if measurement.status is not Status.OK:
            return [_not_measured(REPEATED, "the same metrics", measurement)]
    names = sorted(name for name in first.metrics.keys() | second.metrics.keys() if METRICS[name].deterministic)
    differing = [name for name in names if repr(first.metrics.get(name)) != repr(second.metrics.get(name))]
    return [
        Finding(
            REPEATED,
            f"{len(names)} deterministic metrics the same",
            f"{len(names) - len(differing)} of {len(names)}",
            "fail" if differing else "pass",
            f"different: {', '.join(differing)}" if differing else None,
        )
    ]


def forecast_peak(
    device: str, measure: Callable[[Cell], Measurement], forecast: Callable[[Sequence[Cell]], list[Forecast]]
) -> list[Finding]:
    """The peak forecast of a convolutional network lies near the measured one."""
    kind = device.partition(":")[0]
    cell = Cell(
        problem=Part(name="conv4", parameters=_FORECAST_SIZE[kind]),
        estimator=Part(name="maml", parameters={"lr": 0.01}),
        label="MAML",
        steps=5,
        device=device,
        measure=("memory",),
    )
    [told], measurement = forecast([cell]), measure(cell)
    if measurement.status is not Status.OK:
        return [_not_measured(FORECAST, "as measured", measurement)]
    [measured] = measurement.metrics["peak_bytes"]
    if told.peak_bytes is None:
        return [Finding.unavailable(FORECAST, f"{measured:,.0f} B", told.reason or "no forecast")]
    error = told.peak_bytes / measured - 1
    return [Finding.within(FORECAST, f"{measured:,.0f} B", f"{told.peak_bytes:,} B", error, FORECAST_TOLERANCE[kind])]


def _not_measured(name: str, expected: str, measurement: Measurement) -> Finding:
    return Finding(name, expected, None, "fail", f"{measurement.status}: {measurement.reason}")
