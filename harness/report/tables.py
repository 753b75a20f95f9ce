"""The measurements in readable units, a table a setting."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.cell import METRICS, Measurement, Status
from harness.frame import metrics_held
from harness.report.settings import Setting
from harness.report.variables import Variable, written
from harness.statistics import summarise
from harness.units import Scale, number, scale

_TITLES = {
    "wall_seconds": "wall time",
    "cuda_seconds": "CUDA time",
    "peak_bytes": "peak memory",
    "forecast_peak_bytes": "forecast peak memory",
    "baseline_bytes": "baseline memory",
    "rss_peak_bytes": "resident memory growth",
    "flops": "operations",
    "gradient_count": "gradients",
    "hvp_count": "Hessian-vector products",
    "step_size_hvp_count": "products for the step size",
    "backprop_relative_error": "error against backprop",
    "implicit_relative_error": "error against implicit",
    "rounding_relative_error": "rounding error",
    "smallest_curvature": "smallest eigenvalue of H + λI",
    "overhead_seconds": "harness overhead",
}


@dataclass(frozen=True)
class Row:
    """One cell of the grid."""

    failed: bool
    texts: list[str]


@dataclass(frozen=True)
class Table:
    """The cells of a setting."""

    headers: list[str]
    rows: list[Row]


def title(metric: str) -> str:
    """What tables call the metric."""
    return _TITLES.get(metric, metric.replace("_", " "))


def table(setting: Setting) -> Table:
    """One row a cell: estimator, K, status, each metric of ``METRICS`` in one unit throughout, the reason of a failure.

    A metric is given as its median, with the quartiles in brackets where they differ.
    """
    measurements = setting.measurements
    seeds = len({m.cell.seed for m in measurements}) > 1
    failed = any(m.status is not Status.OK for m in measurements)
    shown = [name for name in metrics_held(measurements) if name in METRICS and not METRICS[name].detail]
    scales = {name: _scale(name, measurements) for name in shown}
    varied = setting.variable if setting.variable.is_parameter else None
    headers = [
        *("estimator", *([varied.title] if varied else []), "K", *(["seed"] if seeds else []), "status"),
        *(f"{title(name)} ({unit.symbol})" if unit.symbol else title(name) for name, unit in scales.items()),
        *(["reason"] if failed else []),
    ]
    rows = [
        Row(
            m.status is not Status.OK,
            [
                *(
                    m.cell.label,
                    *_varied(varied, m),
                    str(m.cell.steps),
                    *([str(m.cell.seed)] if seeds else []),
                    str(m.status),
                ),
                *(_written(m.metrics.get(name, ()), name, unit) for name, unit in scales.items()),
                *([m.reason or ""] if failed else []),
            ],
        )
        for m in measurements
    ]
    return Table(headers, rows)


def _varied(variable: Variable | None, measurement: Measurement) -> list[str]:
    if variable is None:
        return []
    value = variable.of(measurement)
    return ["" if value is None else written(value)]


def markdown(settings: Sequence[Setting]) -> str:
    """The settings' tables as Markdown; nothing in them is read as markup."""
    return "\n".join(section(setting.title, table(setting)) for setting in settings)


def section(heading: str, of: Table) -> str:
    """A table under its heading as Markdown; nothing in them is read as markup."""
    return f"## {escaped(heading)}\n\n{markdown_table(of)}"


def markdown_table(of: Table) -> str:
    """One table as Markdown; nothing in it is read as markup."""
    lines = [of.headers, *(row.texts for row in of.rows)]
    head, *body = [f"| {' | '.join(map(escaped, texts))} |\n" for texts in lines]
    return "".join([head, f"|{' --- |' * len(of.headers)}\n", *body])


def escaped(text: str) -> str:
    """One line of Markdown in which nothing is read as markup."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~]|^#|(?<!\w)_|_(?!\w))", r"\\\1", line).replace("$", "&#36;")


def _scale(metric: str, measurements: Sequence[Measurement]) -> Scale:
    medians = [median(m.metrics[metric]) for m in measurements if m.metrics.get(metric)]
    return scale(METRICS[metric].unit, median(map(abs, medians)))


def _written(samples: Sequence[float], metric: str, unit: Scale) -> str:
    if not samples:
        return ""
    digits = 2 if metric.endswith("relative_error") else 3
    whole = summarise(samples)
    middle, low, high = (number(v / unit.factor, digits) for v in (whole.median, whole.low, whole.high))
    return middle if _value(low) == _value(high) else f"{middle} ({low} to {high})"


def _value(text: str) -> float:
    """Of a written number: "1" and "1.00" are one."""
    return float(text.replace(",", ""))
