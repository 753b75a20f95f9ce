"""Peak memory as forecast against what was measured, cell by cell, over all settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.cell import Measurement, Status
from harness.report.chart_axes import axis, hover, layout, named
from harness.report.charts import POINTS, Chart, Drawing, marks
from harness.report.forecast import FORECAST, MEASURED
from harness.report.settings import Setting
from harness.report.style import Styles
from harness.report.tables import Row, Table
from harness.units import percent, quantity, scale


@dataclass(frozen=True)
class Pair:
    """A cell's forecast and what was measured."""

    where: str
    forecast: float
    measured: float

    @property
    def error(self) -> float:
        """Relative, above 0 where too much was forecast."""
        return self.forecast / self.measured - 1


def pairs(settings: Sequence[Setting]) -> dict[tuple[str, str], list[Pair]]:
    """By estimator and label, of every cell that ended well and has both; a cell of several studies counts once."""
    found: dict[tuple[str, str], dict[str, Pair]] = {}
    for setting in settings:
        for curve in setting.curves:
            own = found.setdefault((curve.estimator, curve.label), {})
            own |= {each.key: pair for each in curve.measurements if (pair := _pair(each, setting.title))}
    return {of: list(by_key.values()) for of, by_key in found.items() if by_key}


def calibration_chart(settings: Sequence[Setting], styles: Styles) -> Chart | None:
    """Forecast over measured, with the line on which they agree; ``None`` where nothing was forecast."""
    found = pairs(settings)
    measured = sorted(pair.measured for own in found.values() for pair in own)
    if not measured:
        return None
    unit = scale("B", measured[len(measured) // 2])
    ends = [measured[0] / unit.factor, measured[-1] / unit.factor]
    drawing = Drawing()
    drawing.traces.append(
        {
            **{"type": "scatter", "mode": "lines", "x": ends, "y": ends, "hoverinfo": "skip"},
            "line": {"color": "#5d646d", "width": 1.2, "dash": "dash"},
        }
    )
    each_th = 1 + len(measured) // POINTS
    for (estimator, label), every in found.items():
        own, style = every[::each_th], styles[estimator, label]
        trace = {
            **{"type": "scatter", "mode": "markers", "hoverinfo": "text", "marker": marks(style)},
            "x": [pair.measured / unit.factor for pair in own],
            "y": [pair.forecast / unit.factor for pair in own],
            "hovertext": [
                hover(
                    f"{label}, {pair.where}",
                    f"forecast {quantity(pair.forecast, 'B')}, measured {quantity(pair.measured, 'B')}",
                    f"relative error {percent(pair.error)}",
                )
                for pair in own
            ],
        }
        drawing.add(label, style, [trace])
    forecasts = [pair.forecast for own in found.values() for pair in own]
    return Chart(
        title="Forecast against measured peak memory",
        heading="",
        note="On the dashed line the two agree; above it, too much was forecast.",
        series=drawing.series,
        traces=drawing.traces,
        layout=layout(
            axis(named("measured", unit), [each / unit.factor for each in measured]),
            axis(named("forecast", unit), [each / unit.factor for each in forecasts]),
        ),
    )


def calibration_table(settings: Sequence[Setting]) -> Table | None:
    """Relative errors of the forecasts, a row an estimator."""
    found = pairs(settings)
    if not found:
        return None
    rows: list[Row] = []
    for (_, label), own in found.items():
        worst = max(own, key=lambda pair: abs(pair.error))
        typical = median(abs(pair.error) for pair in own)
        at = f"{percent(worst.error)} ({worst.where})" if worst.error else "0 %"
        rows.append(Row(False, [label, str(len(own)), percent(typical), at]))
    return Table(["estimator", "cells", "median relative error", "worst"], rows)


def _pair(each: Measurement, where: str) -> Pair | None:
    forecast, measured = each.metrics.get(FORECAST), each.metrics.get(MEASURED)
    if each.status is not Status.OK or not forecast or not measured or not median(measured) > 0:
        return None
    return Pair(f"K = {each.cell.steps}, {where}", forecast[0], median(measured))
