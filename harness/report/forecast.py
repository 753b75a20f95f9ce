"""Peak memory as it was forecast, beside what was measured."""

from statistics import median

from harness.cell import Status
from harness.report.settings import Curve, Setting
from harness.report.words import quoted
from harness.units import percent

FORECAST, MEASURED = "forecast_peak_bytes", "peak_bytes"
FAR_OFF = 0.10
"""Relative error of a forecast that is worth a warning."""


def forecast_line(curve: Curve) -> dict[float, float]:
    """The forecast by value of the variable, ascending, of every cell that has one, however it ended."""
    return {value: each.metrics[FORECAST][0] for value, each in curve.placed() if each.metrics.get(FORECAST)}


def forecast_finding(setting: Setting) -> str | None:
    """How far the forecasts are from what was measured, at worst."""
    errors = [
        (abs(each.metrics[FORECAST][0] / median(each.metrics[MEASURED]) - 1), curve.label, setting.variable.at(value))
        for curve in setting.curves
        for value, each in curve.placed()
        if each.status is Status.OK and each.metrics.get(FORECAST) and any(each.metrics.get(MEASURED, ()))
    ]
    if not errors:
        return None
    worst, label, where = max(errors)
    cells = "the 1 cell" if len(errors) == 1 else f"all {len(errors)} cells"
    if worst == 0.0:
        return f"Peak memory as forecast from fake tensors, before anything was run, is exact to the byte in {cells}."
    verdict = "at worst" if worst <= FAR_OFF else "and so not to be relied on: at worst"
    return (
        f"Peak memory as forecast from fake tensors, before anything was run, is within {percent(worst)} of the "
        f"measured in {cells}, {verdict} {quoted(label)} at {where}."
    )
