"""Every estimator's scaling laws in K: how its costs grow with inner steps."""

from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from harness.cell import metric_of
from harness.report.settings import Setting
from harness.report.tables import Row, Table, section, title
from harness.report.variables import STEPS, TASKS
from harness.scaling import Law, Scaling, scaling
from harness.statistics import EXPONENTS, OffsetPowerLaw
from harness.units import number, scale

COSTS = (
    *("wall_seconds", "cuda_seconds", "step_size_seconds", "inner_seconds", "backward_seconds", "linear_seconds"),
    *("peak_bytes", "requested_bytes", "reserved_bytes", "rss_peak_bytes", "energy_joules"),
    *("flops", "gradient_count", "hvp_count"),
)
"""Metrics whose growth with K is told of."""


def scalings(setting: Setting, metrics: Iterable[str] = COSTS) -> dict[tuple[str, str], Scaling]:
    """One law an estimator and metric, by label and metric, from the medians by K, or by tasks where these are varied.

    There is none where fewer than two were measured, and none in a setting over anything else.
    """
    if setting.variable not in (STEPS, TASKS):
        return {}
    medians = {
        (curve.label, metric): {int(k): value for k, value in curve.medians(metric).items()}
        for metric in metrics
        for curve in setting.curves
    }
    return {(label, metric): scaling(metric, by_k) for (label, metric), by_k in medians.items() if len(by_k) > 1}


def laws_table(setting: Setting) -> Table | None:
    """One row a law; intervals in brackets where they differ from the number as written."""
    found = scalings(setting) if setting.variable == STEPS else {}
    if not found:
        return None
    headers = ["estimator", "metric", "law", "slope per step", "R² of line", "exponent", "R² of curve", "K"]
    return Table(headers, [Row(False, _texts(label, law)) for (label, _), law in found.items()])


def laws_markdown(settings: Sequence[Setting]) -> str:
    """The settings' laws as Markdown; empty where there are none."""
    tables = [(setting.title, laws_table(setting)) for setting in settings]
    return "\n".join(section(heading, table) for heading, table in tables if table)


def laws_frame(settings: Sequence[Setting]) -> pd.DataFrame:
    """One row a law, in full precision and the metrics' own units; what an estimator lacks is not-a-number."""
    return pd.DataFrame(
        [
            _columns(setting, label, law)
            for setting in settings
            if setting.variable == STEPS
            for (label, _), law in scalings(setting).items()
        ]
    )


def _texts(label: str, law: Scaling) -> list[str]:
    curve = law.curve
    return [
        label,
        title(law.metric),
        str(law.law),
        _slope(law),
        "" if law.law is Law.FLAT else f"{law.r_squared:.4f}",
        _exponent(curve) if curve else law.without_exponent,
        f"{curve.r_squared:.4f}" if curve else "",
        f"{law.first[0]} to {law.last[0]}",
    ]


def _slope(law: Scaling) -> str:
    unit = scale(metric_of(law.metric).unit, law.slope)

    def write(slope: float) -> str:
        return number(float(f"{slope / unit.factor:.12g}"))  # whole numbers as such, whatever rounding left of them

    return f"{write(law.slope)} {unit.symbol}".rstrip() + _bracketed(law.slope, law.slope_interval, write)


def _exponent(curve: OffsetPowerLaw) -> str:
    if (curve.low, curve.high) == EXPONENTS:
        return "undetermined"
    write = "{:z.2f}".format
    return write(curve.exponent) + _bracketed(curve.exponent, (curve.low, curve.high), write)


def _bracketed(value: float, interval: tuple[float, float] | None, write: Callable[[float], str]) -> str:
    """The interval, where its ends are not written as the value is."""
    if interval is None or {write(end) for end in interval} == {write(value)}:
        return ""
    return f" ({write(interval[0])} to {write(interval[1])})"


def _columns(setting: Setting, label: str, law: Scaling) -> dict[str, str | int | float | None]:
    slope_low, slope_high = law.slope_interval or (None, None)
    curve = law.curve
    return {
        "setting": setting.title,
        "label": label,
        "metric": law.metric,
        "unit": metric_of(law.metric).unit,
        "law": str(law.law),
        "slope_per_step": law.slope,
        "slope_per_step_low": slope_low,
        "slope_per_step_high": slope_high,
        "intercept": law.intercept,
        "line_r_squared": law.r_squared,
        "exponent": curve.exponent if curve else None,
        "exponent_low": curve.low if curve else None,
        "exponent_high": curve.high if curve else None,
        "curve_r_squared": curve.r_squared if curve else None,
        "without_exponent": law.without_exponent,
        "first_steps": law.first[0],
        "last_steps": law.last[0],
    }
