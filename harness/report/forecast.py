"""Peak memory as it was forecast, beside what was measured."""

from dataclasses import dataclass
from statistics import median

from harness.cell import Status
from harness.report.settings import Curve, Setting
from harness.report.variables import Variable
from harness.report.words import quoted
from harness.units import percent

FORECAST, MEASURED = "forecast_peak_bytes", "peak_bytes"
FAR_OFF = 0.10
"""Relative error of a forecast that is worth a warning."""


def forecast_line(curve: Curve) -> dict[float, float]:
    """The forecast by value of the variable, ascending, of every cell that has one, however it ended."""
    return {value: each.metrics[FORECAST][0] for value, each in curve.placed() if each.metrics.get(FORECAST)}


@dataclass(frozen=True)
class RanOut:
    """Where a curve ran out of memory, and where it was forecast to."""

    label: str
    variable: Variable
    at: float
    """Least value of the variable at which it did."""
    named: float | None
    """Least measured or tried at which the forecast is above all the memory there is; ``None`` where it never is."""
    near: bool
    """Whether the two are the same, or neighbours among the values that were tried."""

    def words(self) -> str:
        """In a sentence."""
        said = "named none" if self.named is None else f"named {self.variable.at(self.named)}"
        return f"{quoted(self.label)} ran out at {self.variable.at(self.at)}; the forecast {said}."


def ran_out(setting: Setting) -> list[RanOut]:
    """Every curve with forecasts that ran out of memory, where it is known how much there is."""
    found: list[RanOut] = []
    limit = setting.memory_bytes
    if limit is None:
        return found
    for curve in setting.curves:
        forecasts = forecast_line(curve)
        tried = [value for value, status in curve.failures(MEASURED).items() if status is Status.OOM]
        if not tried or not forecasts:
            continue
        named = next((value for value, peak in forecasts.items() if peak > limit), None)
        order = sorted({*forecasts, *tried})
        near = named is not None and abs(order.index(named) - order.index(tried[0])) <= 1
        found.append(RanOut(curve.label, setting.variable, tried[0], named, near))
    return found


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
