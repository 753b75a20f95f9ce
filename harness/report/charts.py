"""Charts to explore on the page, as the plain data that Plotly draws: one a setting and metric."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.cell import METRICS, Status
from harness.frame import metrics_held
from harness.report import theory
from harness.report.chart_axes import TICKS, axis, capitalised, hover, layout, named, plain
from harness.report.forecast import FORECAST, MEASURED, forecast_line
from harness.report.settings import Curve, Setting
from harness.report.style import Style, Styles
from harness.report.tables import title
from harness.statistics import Summary
from harness.text import shortened
from harness.units import Scale, quantity, scale

CHARTS = 24
"""Most charts on a page."""
POINTS = 3000
"""Most points in all of them together."""
FIRST = ("peak_bytes", "wall_seconds", "backprop_relative_error", "implicit_relative_error")
"""Metrics that are drawn before all others."""
_ELSEWHERE = {FORECAST, "process_seconds", "negative_curvature"}
"""Metrics that other charts and tables show better."""
_SYMBOLS = {
    **{"o": ("circle", "●○"), "s": ("square", "■□"), "D": ("diamond", "◆◇"), "^": ("triangle-up", "▲△")},
    **{"v": ("triangle-down", "▼▽"), "P": ("cross", "✚✛"), "<": ("triangle-left", "◀◁"), ">": ("triangle-right", "▶▷")},
    **{"p": ("pentagon", "⬟⬠"), "h": ("hexagon", "⬢⬡"), "d": ("diamond-tall", "⬧⬨"), "H": ("hexagon2", "⬣⬡")},
}
"""What Plotly calls a marker of the figures, and the characters that look like it, filled and open."""


@dataclass(frozen=True)
class Series:
    """An entry of a chart's legend."""

    label: str
    colour: str
    """As ``#rrggbb``."""
    mark: str
    """A character in the shape of its markers."""
    traces: list[int]
    """Places in the chart's traces of what it shows and hides."""


@dataclass(frozen=True)
class Chart:
    """A chart with its legend."""

    title: str
    heading: str
    """Of the setting."""
    note: str
    series: list[Series]
    traces: list[dict[str, Any]]
    layout: dict[str, Any]

    def starts_logarithmic(self, axis: str) -> bool:
        """Whether ``xaxis`` or ``yaxis`` does."""
        return self.layout[axis]["type"] == "log"


def metric_charts(settings: Sequence[Setting], styles: Styles) -> tuple[list[Chart], str]:
    """The charts, those of a setting together, and a sentence on those left out; empty where there are none."""
    wanted = [
        (place, setting, metric)
        for metric in _metrics(settings)
        for place, setting in enumerate(settings)
        if any(len(curve.points(metric)) > 1 for curve in setting.curves)
    ]
    taken: list[tuple[int, Setting, str]] = []
    points = 0
    for place, setting, metric in wanted[:CHARTS]:
        points += sum(len(curve.points(metric)) for curve in setting.curves)
        if points > POINTS and taken:
            break
        taken.append((place, setting, metric))
    left = len(wanted) - len(taken)
    note = f"{left} more {'are' if left > 1 else 'is'} left out to keep the page small; the tables have their numbers."
    taken.sort(key=lambda each: each[0])
    return [metric_chart(setting, metric, styles) for _, setting, metric in taken], note if left else ""


def metric_chart(setting: Setting, metric: str, styles: Styles) -> Chart:
    """Medians with quartiles over what is varied, forecasts and theory dashed, failed cells as crosses at the top."""
    medians = [v for curve in setting.curves for v in curve.medians(metric).values()]
    unit = METRICS[metric].unit
    written_in = scale(unit, sorted(map(abs, medians))[len(medians) // 2])
    chart = Drawing()
    for curve in setting.curves:
        style = styles[curve.estimator, curve.label]
        top = max(medians) * 1.25 / written_in.factor
        traces = [
            *_measured(curve, metric, style, written_in),
            *(_forecast(curve, style, written_in) if metric == MEASURED else []),
            *_failed(curve, metric, style, top),
        ]
        if traces:
            chart.add(curve.label, style, traces)
    for line in theory.lines(setting, metric) if setting.study else ():
        chart.traces.append(
            _dashed(line.points, written_in, "#5d646d") | {"hoverinfo": "text", "hovertext": plain(line.label)}
        )
    values = setting.values()
    exact = [curve.label for curve in setting.curves if any(v == 0 for v in curve.medians(metric).values())]
    return Chart(
        title=named(capitalised(title(metric)), written_in),
        heading=setting.title,
        note="0 is not on a logarithmic axis: see the linear one." if exact else "",
        series=chart.series,
        traces=chart.traces,
        layout=layout(
            axis(setting.variable.title, values, ticks=values if len(values) <= TICKS else ()),
            axis("", [each / written_in.factor for each in medians], from_zero=unit != "1"),
        ),
    )


class Drawing:
    """Traces with the legend that shows and hides them."""

    def __init__(self) -> None:
        self.traces: list[dict[str, Any]] = []
        self.series: list[Series] = []

    def add(self, label: str, style: Style, traces: Iterable[dict[str, Any]]) -> None:
        """Traces that go by one entry of the legend."""
        first = len(self.traces)
        self.traces += traces
        places = list(range(first, len(self.traces)))
        self.series.append(
            Series(shortened(label, 60), colour(style), _SYMBOLS[style.marker][1][not style.filled], places)
        )


def marks(style: Style, size: int = 8) -> dict[str, Any]:
    """Plotly's markers in a curve's style."""
    symbol = _SYMBOLS[style.marker][0] if style.filled else f"{_SYMBOLS[style.marker][0]}-open"
    return {"symbol": symbol, "color": colour(style), "size": size}


def colour(style: Style) -> str:
    """As ``#rrggbb``."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in style.colour)


def _metrics(settings: Iterable[Setting]) -> list[str]:
    held = metrics_held(m for setting in settings for m in setting.measurements)
    shown = [name for name in held if name in METRICS and not METRICS[name].detail and name not in _ELSEWHERE]
    return sorted(shown, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def _measured(curve: Curve, metric: str, style: Style, unit: Scale) -> list[dict[str, Any]]:
    points = {x: p for x, p in curve.points(metric).items() if all(map(math.isfinite, (p.low, p.median, p.high)))}
    if not points:
        return []
    ends = {
        **{"type": "data", "symmetric": False, "thickness": 1.2, "width": 3},
        "array": [_short((p.high - p.median) / unit.factor) for p in points.values()],
        "arrayminus": [_short((p.median - p.low) / unit.factor) for p in points.values()],
    }
    spread = any(p.high > p.low for p in points.values())
    forecast = forecast_line(curve) if metric == MEASURED else {}
    return [
        {
            **{"type": "scatter", "mode": "lines+markers", "x": list(points), "hoverinfo": "text"},
            "y": [_short(p.median / unit.factor) for p in points.values()],
            **({"error_y": ends} if spread else {}),
            "line": {"color": colour(style), "width": 1.8},
            "marker": marks(style),
            "hovertext": [_told(curve, metric, x, p, forecast.get(x)) for x, p in points.items()],
        }
    ]


def _told(curve: Curve, metric: str, x: float, point: Summary, forecast: float | None) -> str:
    unit = METRICS[metric].unit
    low, middle, high = (quantity(v, unit) for v in (point.low, point.median, point.high))
    spread = f"quartiles {low} to {high}, {point.count} samples" if point.count > 1 else "1 sample"
    return hover(f"{curve.label}, {curve.variable.at(x)}: {middle}", spread, *_expected(forecast), "status ok")


def _expected(forecast: float | None) -> list[str]:
    return [] if forecast is None else [f"forecast {quantity(forecast, 'B')}"]


def _forecast(curve: Curve, style: Style, unit: Scale) -> list[dict[str, Any]]:
    line = forecast_line(curve)
    return [_dashed(line, unit, colour(style))] if line else []


def _failed(curve: Curve, metric: str, style: Style, top: float) -> list[dict[str, Any]]:
    failed = curve.failures(metric)
    if not failed:
        return []
    forecast = forecast_line(curve) if metric == MEASURED else {}
    reasons = {x: each.reason or "" for x, each in curve.placed() if each.status is not Status.OK}
    told = [
        hover(f"{curve.label}, {curve.variable.at(x)}", f"status {status}", reasons[x], *_expected(forecast.get(x)))
        for x, status in failed.items()
    ]
    return [
        {
            **{"type": "scatter", "mode": "markers", "hoverinfo": "text", "hovertext": told},
            **{"x": list(failed), "y": [_short(top)] * len(failed)},
            "marker": {"symbol": "x", "size": 10, "color": colour(style)},
        }
    ]


def _dashed(points: Mapping[float, float], unit: Scale, line_colour: str) -> dict[str, Any]:
    """A line that is not pointed at: the marks near it are."""
    return {
        **{"type": "scatter", "mode": "lines", "hoverinfo": "skip", "x": list(points)},
        "y": [_short(value / unit.factor) for value in points.values()],
        "line": {"color": line_colour, "width": 1.4, "dash": "dash"},
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")
