"""The figures: 2a (accuracy) and 2b (memory and time) against inner steps, and those of a study against its own."""

import io
import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.cell import METRICS, Status
from harness.report import theory
from harness.report.axes import (
    Range,
    draw_failures,
    draw_signed_axis,
    draw_value_axis,
    draw_variable_axis,
    failure_rows,
    value_range,
)
from harness.report.settings import Curve, Setting
from harness.report.style import Style, parameters
from harness.report.validity import in_question
from harness.report.variables import STEPS
from harness.statistics import Summary

Styles = Mapping[tuple[str, str], Style]


@dataclass(frozen=True)
class Panel:
    """One metric against what is varied."""

    metric: str
    title: str
    signed: bool = False
    """Whether it may be of either sign, so that no logarithm can be taken."""

    @property
    def unit(self) -> str:
        """The metric's."""
        return METRICS[self.metric].unit


@dataclass(frozen=True)
class Kind:
    """A figure of the paper as drawn here, or a study's."""

    name: str
    """Of its files."""
    title: str
    caption: str
    panels: tuple[Panel, ...]
    value_label: str = ""


FIGURE_2A = Kind(
    "figure2a",
    "Figure 2a. Accuracy of the meta-gradient",
    "Relative error of the meta-gradient against inner steps K, in float64: median over seeds, with a band from the "
    "first to the third quartile.",
    (
        Panel("backprop_relative_error", "against exact backprop\nthrough the same K steps"),
        Panel("implicit_relative_error", "against the exact\nimplicit gradient"),
    ),
    "relative error",
)
FIGURE_2B = Kind(
    "figure2b",
    "Figure 2b. Memory and time",
    "Peak memory over the baseline (1 MB is 1,000,000 bytes) and wall time of one meta-gradient of the meta-batch "
    "against inner steps K: median of the repetitions, with a band from the first to the third quartile.",
    (Panel("peak_bytes", "peak memory"), Panel("wall_seconds", "wall time of one meta-gradient")),
)
_BAND = "median, with a band from the first to the third quartile"
ERROR = Kind(
    "accuracy",
    "Accuracy of the meta-gradient",
    f"Relative error of the meta-gradient in float64: {_BAND}. A dashed line without marks is theory's, where there is "
    "one. A ring marks a point at which the smallest eigenvalue of H + λI, estimated from below, is "
    "not above 0 or CG met negative curvature, in any seed.",
    FIGURE_2A.panels,
    "relative error",
)
COST = Kind("cost", "Memory and time", f"Peak memory over the baseline, and wall time: {_BAND}.", FIGURE_2B.panels)
ROUNDING = Kind(
    "rounding",
    "Error of the method and of rounding",
    "Relative error of the meta-gradient, by the method (in float64, against a reference) and by rounding (the same "
    f"estimator against itself in float64): {_BAND}.",
    (*FIGURE_2A.panels, Panel("rounding_relative_error", "by rounding alone,\nagainst the same in float64")),
    "relative error",
)
VALIDITY = Kind(
    "validity",
    "Validity of the implicit method",
    "Left, how far the inner problem is from solved, which should be near 0; right, the smallest eigenvalue of H + λI, "
    f"which has to be above 0: {_BAND}.",
    (
        Panel("inner_residual", "inner residual ‖∇G(φ_K)‖ / ‖∇G(θ)‖"),
        Panel("smallest_curvature", "smallest eigenvalue of H + λI", signed=True),
    ),
)
OF_THE_PAPER = (FIGURE_2A, FIGURE_2B)
OF_STUDIES = (ERROR, COST, ROUNDING, VALIDITY)

STATUS_MARKERS = {
    Status.OOM: ("x", "out of memory"),
    Status.TIMEOUT: ("+", "time limit"),
    Status.CRASH: ("X", "crash"),
    Status.DIVERGED: ("*", "diverged"),
    Status.SKIPPED: ("_", "skipped"),
}


def panels(kind: Kind, setting: Setting) -> list[Panel]:
    """The figure's panels for which the setting holds a number.

    Validity is drawn over K alone, and where it is a question. Where rounding was measured, its figure has the errors.
    """
    if kind is VALIDITY and not (setting.variable == STEPS and in_question(setting)):
        return []
    if kind in (ERROR, ROUNDING) and _rounding_is_known(setting) != (kind is ROUNDING):
        return []
    return [panel for panel in kind.panels if any(curve.points(panel.metric) for curve in setting.curves)]


def _rounding_is_known(setting: Setting) -> bool:
    return any(curve.points("rounding_relative_error") for curve in setting.curves)


def draw(kind: Kind, setting: Setting, styles: Styles) -> dict[str, bytes]:
    """The figure of a setting, with at least one panel, as file ending to content: ``png`` and ``svg``.

    Byte for byte the same for the same measurements and versions of the drawing libraries.
    """
    with matplotlib.style.context(["default", parameters()], after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = compose(kind, setting, styles)
        return {
            "png": _saved(figure, "png", {"Software": None}),
            "svg": _saved(figure, "svg", {"Date": None, "Creator": None}),
        }


def compose(kind: Kind, setting: Setting, styles: Styles) -> Figure:
    """The figure, in the style of the moment: its panels side by side, the setting above, the legend below."""
    shown = panels(kind, setting)
    entries = _legend_entries(shown, setting, styles)
    width = 7.2 if len(shown) > 1 else 4.4
    heading = textwrap.wrap(plain_text(setting.title, 300), int(width * 19))
    columns = max(1, int((width - 0.3) / (0.6 + 0.068 * max(len(label) for label, _ in entries))))
    above = 0.2 + 0.14 * (len(heading) + max(panel.title.count("\n") + 1 for panel in shown))
    below = 0.62 + 0.18 * math.ceil(len(entries) / columns)
    height = above + 2.35 + below
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    left, right, gap = 0.85, 0.12, 0.85
    inner = (width - left - right - gap * (len(shown) - 1)) / len(shown)
    for index, panel in enumerate(shown):
        corner = (left + index * (inner + gap)) / width, below / height
        axes = figure.add_axes((*corner, inner / width, 2.35 / height))
        _draw_panel(axes, panel, setting, styles)
        for line in _theory(panel, setting):
            axes.plot(list(line.points), [max(y, 1e-300) for y in line.points.values()], **_THEORY)
        axes.set_title(panel.title)
        if index == 0:
            axes.set_ylabel(kind.value_label)
    figure.text(0.5, 1 - 0.06 / height, "\n".join(heading), ha="center", va="top", fontsize=7, color="0.35")
    placed = figure.legend(
        handles=[handle for _, handle in entries],
        labels=[str(index) for index in range(len(entries))],
        loc="lower center", ncols=columns, frameon=False, borderaxespad=0.2, columnspacing=1.4, handlelength=2.6,
    )  # fmt: skip
    for text, (label, _) in zip(placed.get_texts(), entries, strict=True):
        text.set_text(label)  # set late: a label given to legend() is left out where it starts with an underscore
    return figure


def _draw_panel(axes: Axes, panel: Panel, setting: Setting, styles: Styles) -> None:
    curves = [(curve, styles[curve.estimator, curve.label]) for curve in setting.curves]
    points = [(curve.points(panel.metric), style) for curve, style in curves]
    failures = [(curve.failures(panel.metric), style) for curve, style in curves]
    rows = [
        ({value: STATUS_MARKERS[status][0] for value, status in failed.items()}, style.colour)
        for failed, style in failures
        if failed
    ]
    is_error = panel.unit == "1"
    ends = [end for by_value, _ in points for point in by_value.values() for end in (point.low, point.high)]
    span = value_range(ends, is_error)
    draw_variable_axis(axes, setting.values(), setting.variable.title)
    if panel.signed:
        draw_signed_axis(axes, ends)
    else:
        draw_value_axis(axes, span, panel.unit, "exact (0)" if is_error else "0", failure_rows(len(rows)) * len(rows))
    for by_value, style in points:
        _draw_curve(axes, by_value, None if panel.signed else span, style)
    for curve, _ in curves:
        rings = {value: by for value, by in curve.points(panel.metric).items() if value in _indefinite(panel, curve)}
        if rings and setting.study:
            axes.plot(list(rings), [span.place(point.median) for point in rings.values()], **_RING)
    draw_failures(axes, rows)
    seaborn.despine(ax=axes)


def _draw_curve(axes: Axes, points: Mapping[float, Summary], span: Range | None, style: Style) -> None:
    """A curve on a logarithmic axis over ``span``, or on a linear one."""
    place = span.place if span else float
    values = list(points)
    low = [place(point.low) for point in points.values()]
    median = [place(point.median) for point in points.values()]
    high = [place(point.high) for point in points.values()]
    if len(values) > 1:
        axes.fill_between(values, low, high, color=style.colour, alpha=0.18, linewidth=0)
    else:
        axes.vlines(values, low, high, color=style.colour, linewidth=1.0)
    axes.plot(values, median, zorder=3 - style.size / 10, **_line(style))


_THEORY: dict[str, Any] = {"color": "0.35", "linestyle": (0, (5, 2)), "linewidth": 1.1, "zorder": 1.5}
_RING: dict[str, Any] = {
    **{"marker": "o", "markersize": 9.0, "markerfacecolor": "none", "markeredgecolor": "#b3261e"},
    **{"markeredgewidth": 1.1, "linestyle": "none", "zorder": 4},
}
_RING_LABEL = "H + λI may be indefinite"


def _theory(panel: Panel, setting: Setting) -> list[theory.Line]:
    return theory.lines(setting, panel.metric) if setting.study else []


def _indefinite(panel: Panel, curve: Curve) -> set[float]:
    """Where the premise of the implicit method is in doubt, for a panel of errors against a reference."""
    if panel.metric not in ("backprop_relative_error", "implicit_relative_error"):
        return set()
    flagged = {value for value, flags in curve.samples("negative_curvature").items() if any(flags)}
    return flagged | {value for value, least in curve.samples("smallest_curvature").items() if min(least) < 0}


def _line(style: Style) -> dict[str, Any]:
    return {
        "color": style.colour,
        "marker": style.marker,
        "markersize": style.size,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
        "linestyle": (0, style.dash) if style.dash else "solid",
    }


def _legend_entries(shown: Sequence[Panel], setting: Setting, styles: Styles) -> list[tuple[str, Line2D]]:
    """A curve each, then the ways to fail that occur."""
    entries: list[tuple[str, Line2D]] = []
    statuses: set[Status] = set()
    for curve in setting.curves:
        failed = {status for panel in shown for status in curve.failures(panel.metric).values()}
        if failed or any(curve.points(panel.metric) for panel in shown):
            line = Line2D([], [], **_line(styles[curve.estimator, curve.label]))
            entries.append((plain_text(curve.label, 48), line))
        statuses |= failed
    if setting.study and any(_indefinite(panel, curve) for panel in shown for curve in setting.curves):
        entries.append((_RING_LABEL, Line2D([], [], **_RING)))
    laws = dict.fromkeys(line.label for panel in shown for line in _theory(panel, setting))
    entries += [(label, Line2D([], [], **_THEORY)) for label in laws]
    for status, (marker, meaning) in STATUS_MARKERS.items():
        if status in statuses:
            mark = Line2D([], [], color="0.25", marker=marker, linestyle="none", markersize=5.5, markeredgewidth=1.4)
            entries.append((meaning, mark))
    return entries


def plain_text(text: str, length: int) -> str:
    """``text`` on one line without control characters, cut in the middle where it is longer than ``length``."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= length else f"{line[: length // 2]}…{line[-(length - length // 2 - 1) :]}"


def _saved(figure: Figure, ending: str, metadata: Mapping[str, str | None]) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=ending, dpi=200, metadata=dict(metadata))
    return content.getvalue()
