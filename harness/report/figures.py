"""Figure 2a (accuracy against inner steps) and Figure 2b (memory and time against inner steps)."""

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
from harness.report.axes import Range, draw_failures, draw_steps_axis, draw_value_axis, failure_rows, value_range
from harness.report.settings import Setting
from harness.report.style import Style, parameters
from harness.statistics import Summary

Styles = Mapping[tuple[str, str], Style]


@dataclass(frozen=True)
class Panel:
    """One metric against K."""

    metric: str
    title: str

    @property
    def unit(self) -> str:
        """The metric's."""
        return METRICS[self.metric].unit


@dataclass(frozen=True)
class Kind:
    """A figure of the paper, as drawn here."""

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
KINDS = (FIGURE_2A, FIGURE_2B)

STATUS_MARKERS = {
    Status.OOM: ("x", "out of memory"),
    Status.TIMEOUT: ("+", "time limit"),
    Status.CRASH: ("X", "crash"),
    Status.DIVERGED: ("*", "diverged"),
    Status.SKIPPED: ("_", "skipped"),
}


def panels(kind: Kind, setting: Setting) -> list[Panel]:
    """The figure's panels for which the setting holds a number."""
    return [panel for panel in kind.panels if any(curve.points(panel.metric) for curve in setting.curves)]


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
        ({steps: STATUS_MARKERS[status][0] for steps, status in failed.items()}, style.colour)
        for failed, style in failures
        if failed
    ]
    is_error = panel.unit == "1"
    span = value_range([v for by_steps, _ in points for p in by_steps.values() for v in (p.low, p.high)], is_error)
    draw_steps_axis(axes, setting.steps())
    draw_value_axis(axes, span, panel.unit, "exact (0)" if is_error else "0", failure_rows(len(rows)) * len(rows))
    for by_steps, style in points:
        _draw_curve(axes, by_steps, span, style)
    draw_failures(axes, rows)
    seaborn.despine(ax=axes)


def _draw_curve(axes: Axes, points: Mapping[int, Summary], span: Range, style: Style) -> None:
    steps = list(points)
    low = [span.place(point.low) for point in points.values()]
    median = [span.place(point.median) for point in points.values()]
    high = [span.place(point.high) for point in points.values()]
    if len(steps) > 1:
        axes.fill_between(steps, low, high, color=style.colour, alpha=0.18, linewidth=0)
    else:
        axes.vlines(steps, low, high, color=style.colour, linewidth=1.0)
    axes.plot(steps, median, zorder=3 - style.size / 10, **_line(style))


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
