"""One panel of a figure: a metric's curves, their bands, and the cells that have no number."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import seaborn
from matplotlib.axes import Axes

from harness.cell import Status
from harness.report.axes import (
    Range,
    draw_failures,
    draw_limit,
    draw_signed_axis,
    draw_value_axis,
    failure_rows,
    value_range,
)
from harness.report.direct_labels import width_inches
from harness.report.forecast import MEASURED, forecast_line
from harness.report.kinds import WANT_OF_MEMORY, Panel, memory_limit
from harness.report.layout import Box, Sheet
from harness.report.legend import FORECAST, RING, STATUS_MARKERS, THEORY, indefinite, line, scaled, theory_lines
from harness.report.look import Look
from harness.report.settings import Curve, Setting
from harness.report.style import Style, Styles
from harness.statistics import Summary
from harness.units import quantity

Failed = dict[float, Status]
"""How cells failed, by value of the variable."""


@dataclass(kw_only=True)
class Plot(Box):
    """A panel with its axis of values."""

    panel: Panel
    span: Range | None
    """``None`` where the axis is linear."""

    def end(self, curve: Curve, last: float) -> float | None:
        """Where on the axis a curve ends that reaches the last value of the variable, measured or forecast."""
        ends = _forecast(self.panel, curve) | curve.medians(self.panel.metric)
        return self.place(ends[last]) if last in ends else None

    def place(self, value: float) -> float:
        """Where a value is drawn."""
        return self.span.place(value) if self.span else value


def with_value_axis(axes: Axes, panel: Panel, setting: Setting, sheet: Sheet, look: Look) -> Plot:
    """The panel with its axis of values, and how much room that needs."""
    points = [point for curve in setting.curves for point in curve.points(panel.metric).values()]
    values = [end for point in points for end in (point.low, point.high)]
    seaborn.despine(ax=axes)
    if panel.signed:
        span, labels = None, draw_signed_axis(axes, values)
    else:
        is_error = panel.unit == "1"
        values += [value for curve in setting.curves for value in _forecast(panel, curve).values()]
        limit = memory_limit(setting) if panel.metric == MEASURED else None
        span = value_range([*values, limit] if limit else values, is_error)
        at_top, at_limit = _failures(panel, setting)
        pile = max(Counter(value for failed in at_limit.values() for value in failed).values(), default=0)
        headroom = max(failure_rows(len(at_top)) * len(at_top), 0.09 * pile * look.scale / sheet.plot)
        labels = draw_value_axis(axes, span, panel.unit, "exact (0)" if is_error else "0", headroom)
    left = max(width_inches(label, look.font_size) for label in labels) + 0.14 * look.scale
    return Plot(axes, left, panel=panel, span=span)


def draw_panel(plot: Plot, setting: Setting, styles: Styles, scale: float) -> None:
    """What the panel shows, into axes that are in place."""
    axes, panel = plot.axes, plot.panel
    for curve in setting.curves:
        style = styles[curve.estimator, curve.label]
        points = curve.points(panel.metric)
        _draw_curve(plot, points, style, scale)
        if forecast := _forecast(panel, curve):
            (dashes,) = axes.plot(*_placed(plot, forecast), **scaled(FORECAST, scale))
            dashes.set_color(style.colour)
        rings = {value: points[value].median for value in points if value in indefinite(panel, curve)}
        if rings and setting.study:
            axes.plot(*_placed(plot, rings), **scaled(RING, scale))
    for law in theory_lines(panel, setting):
        axes.plot(list(law.points), [max(y, 1e-300) for y in law.points.values()], **scaled(THEORY, scale))
    at_top, at_limit = _failures(panel, setting)
    draw_failures(axes, [(_markers(failed), _colour(curve, styles)) for curve, failed in at_top.items()], scale)
    limit = memory_limit(setting)
    if limit and panel.metric == MEASURED:
        marks = [(x, m, _colour(curve, styles)) for curve, of in at_limit.items() for x, m in _markers(of).items()]
        whose = "" if setting.measurements[0].cell.device == "cpu" else "device "
        draw_limit(axes, limit, f"{whose}memory {quantity(limit, 'B')}", marks, scale)


def _draw_curve(plot: Plot, points: Mapping[float, Summary], style: Style, scale: float) -> None:
    values = list(points)
    low, median, high = (
        [plot.place(getattr(point, at)) for point in points.values()] for at in ("low", "median", "high")
    )
    if len(values) > 1:
        plot.axes.fill_between(values, low, high, color=style.colour, alpha=0.2, linewidth=0)
    else:
        plot.axes.vlines(values, low, high, color=style.colour, linewidth=scale)
    plot.axes.plot(values, median, zorder=3 - style.size / 10, **line(style, scale))


def _placed(plot: Plot, points: Mapping[float, float]) -> tuple[list[float], list[float]]:
    return list(points), [plot.place(value) for value in points.values()]


def _forecast(panel: Panel, curve: Curve) -> dict[float, float]:
    return forecast_line(curve) if panel.metric == MEASURED else {}


def _failures(panel: Panel, setting: Setting) -> tuple[dict[Curve, Failed], dict[Curve, Failed]]:
    """The cells that failed, by curve: those to mark at the axis's top, and those at the memory there is."""
    limited = panel.metric == MEASURED and memory_limit(setting) is not None
    at_top: dict[Curve, Failed] = {}
    at_limit: dict[Curve, Failed] = {}
    for curve in setting.curves:
        for value, status in curve.failures(panel.metric).items():
            found = at_limit if limited and status in WANT_OF_MEMORY else at_top
            found.setdefault(curve, {})[value] = status
    return at_top, at_limit


def _markers(failed: Failed) -> dict[float, str]:
    return {value: STATUS_MARKERS[status][0] for value, status in failed.items()}


def _colour(curve: Curve, styles: Styles) -> object:
    return styles[curve.estimator, curve.label].colour
