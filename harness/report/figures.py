"""Figures drawn: the panels of a setting, with a legend where the curves do not carry their own names."""

import io
import math
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import matplotlib.style
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harness.executors.lifetime import die_with
from harness.meters.conditions import usable_cpus
from harness.report.axes import draw_variable_axis
from harness.report.direct_labels import End, places, width_inches, write_labels
from harness.report.kinds import Kind, Panel, panels
from harness.report.layout import AXES, Sheet
from harness.report.legend import columns, curve_entries, draw_legend, other_entries
from harness.report.look import DEFAULT, Look, parameters
from harness.report.panel import Plot, draw_panel, with_value_axis
from harness.report.settings import Curve, Setting
from harness.report.style import Styles
from harness.text import shortened

FORMATS: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""File endings, with what is kept out of the files so that they are the same whenever they are drawn."""


def draw(kind: Kind, setting: Setting, styles: Styles, look: Look = DEFAULT) -> dict[str, bytes]:
    """The figure of a setting, with at least one panel, as file ending to content, in all of :data:`FORMATS`."""
    return rendered(lambda: compose(kind, setting, styles, look), look)


def draw_all(
    kind: Kind, settings: Sequence[Setting], styles: Styles, look: Look = DEFAULT
) -> Iterator[dict[str, bytes]]:
    """:func:`draw` for each of the settings, on all processors where there are enough figures to gain by it."""
    workers = min(len(usable_cpus()), len(settings) // 4)
    if workers < 2:
        yield from (draw(kind, setting, styles, look) for setting in settings)
        return
    parameters(look)  # what it prepares is then there in all the forks
    with ProcessPoolExecutor(workers, get_context("fork"), die_with, (os.getpid(),)) as pool:
        yield from pool.map(draw, repeat(kind), settings, repeat(styles), repeat(look), chunksize=2)


def rendered(composed: Callable[[], Figure], look: Look = DEFAULT) -> dict[str, bytes]:
    """What is composed in the figures' style, as file ending to content, in all of :data:`FORMATS`.

    Byte for byte the same for the same measurements and versions of the drawing libraries.
    """
    with matplotlib.style.context(["default", parameters(look)], after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = composed()
        return {ending: _saved(figure, ending, look.dpi) for ending in FORMATS}


def _saved(figure: Figure, ending: str, dpi: int) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=ending, dpi=dpi, metadata=dict(FORMATS[ending]))
    return content.getvalue()


def compose(kind: Kind, setting: Setting, styles: Styles, look: Look = DEFAULT) -> Figure:
    """The figure, in the style of the moment: panels side by side as far as they fit, setting above, legend below."""
    shown, scale = panels(kind, setting), look.scale
    sheet = Sheet.of(look, len(shown))
    figure = Figure(figsize=(sheet.width, sheet.width))
    FigureCanvasAgg(figure)
    plots = [with_value_axis(figure.add_axes((0, 0, 1, 1)), panel, setting, sheet, look) for panel in shown]
    if kind.value_label:
        for plot in plots[:: sheet.per_row]:
            plot.axes.set_ylabel(kind.value_label)
            plot.left += 0.19 * scale
    named = _named(plots, _seen(shown, setting), setting, styles, sheet, look)
    entries = other_entries(shown, setting, scale)
    if not named:
        entries = [*curve_entries(_seen(shown, setting), styles, scale), *entries]
    column_count = columns(entries, sheet.width, look)
    heading = textwrap.wrap(shortened(setting.title, 300), int(sheet.width / scale * 19)) if look.heading else []
    for plot in plots:
        plot.axes.set_title(_title(plot.panel, sheet.inner(plots)), linespacing=1.05)
    sheet.place(figure, plots, len(heading), math.ceil(len(entries) / column_count))
    for index, plot in enumerate(plots):
        title = setting.variable.title if index + sheet.per_row >= len(plots) else ""
        draw_variable_axis(plot.axes, setting.values(), title, slots=sheet.inner(plots) / scale / 0.26)
        draw_panel(plot, setting, styles, scale)
    if named:
        write_labels(*named, look.font_size)
    if entries:
        draw_legend(figure, entries, column_count)
    top = 1 - 0.05 * scale / figure.get_figheight()
    figure.text(0.5, top, "\n".join(heading), ha="center", va="top", fontsize=7 * scale, color="0.35")
    return figure


def _title(panel: Panel, width: float) -> str:
    """The panel's, in one line where that is not wider than the axes."""
    line = panel.title.replace("\n", " ")
    return line if width_inches(line, rcParams["axes.titlesize"]) <= width else panel.title


def _seen(shown: Sequence[Panel], setting: Setting) -> list[Curve]:
    """The curves of which a panel has a point or a failure."""
    metrics = [panel.metric for panel in shown]
    return [c for c in setting.curves if any(c.failures(metric) or c.points(metric) for metric in metrics)]


def _named(
    plots: Sequence[Plot], seen: Sequence[Curve], setting: Setting, styles: Styles, sheet: Sheet, look: Look
) -> tuple[Axes, list[End], list[float]] | None:
    """The last panel in which every curve can be named at its end, with the names and where to put them."""
    last, points = setting.values()[-1], look.font_size
    for plot in reversed(plots):
        values = [plot.end(curve, last) for curve in seen]
        ends = [
            End(shortened(curve.label, 48), styles[curve.estimator, curve.label].colour, value)
            for curve, value in zip(seen, values, strict=True)
            if value is not None
        ]
        at = places(plot.axes, ends, sheet.plot, points) if len(ends) == len(seen) else None
        if at:
            plot.right = max(width_inches(end.label, points) for end in ends)
            if sheet.inner(plots) >= AXES * look.scale:
                return plot.axes, ends, at
            plot.right = 0.0
    return None
