"""The legend below a figure: what is not named at the curves themselves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.cell import Status
from harness.report import theory
from harness.report.direct_labels import width_inches
from harness.report.forecast import MEASURED, forecast_line
from harness.report.kinds import Panel
from harness.report.look import Look
from harness.report.settings import Curve, Setting
from harness.report.style import Style, Styles
from harness.text import shortened

STATUS_MARKERS = {
    Status.OOM: ("x", "out of memory"),
    Status.TIMEOUT: ("+", "time limit"),
    Status.CRASH: ("X", "crash"),
    Status.DIVERGED: ("*", "diverged"),
    Status.SKIPPED: ("|", "skipped"),
}
THEORY: dict[str, Any] = {"color": "0.35", "linestyle": (0, (5, 2)), "linewidth": 1.1, "zorder": 1.5}
FORECAST: dict[str, Any] = {"color": "0.35", "linestyle": (0, (4, 1.8)), "linewidth": 1.0, "zorder": 1.6}
RING: dict[str, Any] = {
    **{"marker": "o", "markersize": 9.0, "markerfacecolor": "none", "markeredgecolor": "#b3261e"},
    **{"markeredgewidth": 1.1, "linestyle": "none", "zorder": 4},
}
_RING_LABEL = "H + λI may be indefinite"
_HANDLE = 2.6
"""Length of a line in the legend, in font sizes."""

Entry = tuple[str, Line2D]


def scaled(how: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """How to draw a line, with its lengths multiplied."""
    lengths = ("linewidth", "markersize", "markeredgewidth")
    return {name: value * scale if name in lengths else value for name, value in how.items()}


def line(style: Style, scale: float) -> dict[str, Any]:
    """How a curve of the style is drawn."""
    how = {
        "color": style.colour,
        "marker": style.marker,
        "markersize": style.size,
        "markerfacecolor": style.colour if style.filled else "white",
        "markeredgecolor": "white" if style.filled else style.colour,
        "markeredgewidth": 0.5 if style.filled else 1.0,
        "linestyle": (0, style.dash) if style.dash else "solid",
    }
    return scaled(how, scale)


def curve_entries(curves: Sequence[Curve], styles: Styles, scale: float) -> list[Entry]:
    """A curve each."""
    looks = [(curve.label, styles[curve.estimator, curve.label]) for curve in curves]
    return [(shortened(label, 48), Line2D([], [], **line(style, scale))) for label, style in looks]


def other_entries(shown: Sequence[Panel], setting: Setting, scale: float) -> list[Entry]:
    """What else there is to see: doubt, theory, forecasts, then the ways to fail that occur."""
    entries: list[Entry] = []
    if setting.study and any(indefinite(panel, curve) for panel in shown for curve in setting.curves):
        entries.append((_RING_LABEL, Line2D([], [], **scaled(RING, scale))))
    laws = dict.fromkeys(law.label for panel in shown for law in theory_lines(panel, setting))
    entries += [(label, Line2D([], [], **scaled(THEORY, scale))) for label in laws]
    if any(panel.metric == MEASURED for panel in shown) and any(map(forecast_line, setting.curves)):
        entries.append(("forecast", Line2D([], [], **scaled(FORECAST, scale))))
    statuses = {status for panel in shown for c in setting.curves for status in c.failures(panel.metric).values()}
    mark = scaled({"color": "0.25", "linestyle": "none", "markersize": 5.5, "markeredgewidth": 1.4}, scale)
    failed = [named for status, named in STATUS_MARKERS.items() if status in statuses]
    return entries + [(meaning, Line2D([], [], marker=marker, **mark)) for marker, meaning in failed]


def columns(entries: Sequence[Entry], width: float, look: Look) -> int:
    """How many entries fit beside each other in a width in inches; no more than their rows need."""
    em = look.font_size / 72
    widest = max((width_inches(label, look.font_size) for label, _ in entries), default=0.0)
    most = max(1, int((width + em) / (widest + (_HANDLE + 2.0) * em)))
    rows = max(1, math.ceil(len(entries) / most))
    return max(1, math.ceil(len(entries) / rows))


def draw_legend(figure: Figure, entries: Sequence[Entry], column_count: int) -> None:
    """The legend at the figure's bottom."""
    placed = figure.legend(
        handles=[handle for _, handle in entries],
        labels=[str(index) for index in range(len(entries))],
        loc="lower center", ncols=column_count, frameon=False, borderaxespad=0.1, borderpad=0.2, columnspacing=1.2,
        handlelength=_HANDLE, handletextpad=0.6, labelspacing=0.35,
    )  # fmt: skip
    for text, (label, _) in zip(placed.get_texts(), entries, strict=True):
        text.set_text(label)  # set late: a label given to legend() is left out where it starts with an underscore


def theory_lines(panel: Panel, setting: Setting) -> list[theory.Line]:
    """What theory says; in studies alone."""
    return theory.lines(setting, panel.metric) if setting.study else []


def indefinite(panel: Panel, curve: Curve) -> set[float]:
    """Where the premise of the implicit method is in doubt, for a panel of errors against a reference."""
    if panel.metric not in ("backprop_relative_error", "implicit_relative_error"):
        return set()
    flagged = {value for value, flags in curve.samples("negative_curvature").items() if any(flags)}
    return flagged | {value for value, least in curve.samples("smallest_curvature").items() if min(least) <= 0}
