"""Memory over time: what the traced cells held when, estimators side by side at equal K."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness import units
from harness.report.direct_labels import width_inches
from harness.report.figures import rendered
from harness.report.legend import scaled
from harness.report.look import DEFAULT, Look
from harness.report.settings import Curve, Setting
from harness.report.style import Style, Styles
from harness.report.variables import STEPS
from harness.report.words import listed, quoted
from harness.store import LoadedRun
from harness.text import shortened
from harness.timelines import Phase, Timeline, load_timelines, thinned
from harness.units import Scale, quantity

MAX_FIGURES = 4
MAX_PANELS = 6
STEP = "step"
"""The phase that marks an inner step."""
_MAX_STEPS_DRAWN = 64
_MAX_PHASES_NAMED = 6
_POINTS_DRAWN = 1_200

_TINTS = {"inner": "#eef1f6", "query": "#faf0cf", "backward": "#fae6e1", "linear": "#e4efe0", "step size": "#ebe5f4"}
_SPARE_TINTS = ("#dfecef", "#f3e8dc", "#ececec")


@dataclass(frozen=True)
class Trace:
    """A traced cell."""

    title: str
    curve: Curve
    """Of which the cell is a point."""
    timeline: Timeline

    @property
    def peak_phase(self) -> str | None:
        """The outermost phase in which the peak lies."""
        at = self.timeline.peak_at_seconds
        return next((p.name for p in outermost(self.timeline.phases) if p.start_seconds <= at <= p.end_seconds), None)


@dataclass(frozen=True)
class Group:
    """The traced cells of a setting at one K: a figure."""

    setting: Setting
    steps: int
    traces: tuple[Trace, ...]

    @property
    def title(self) -> str:
        """What the figure is called."""
        study = f"{self.setting.study}. " if self.setting.study else ""
        return f"{study}Memory over time, {STEPS.at(self.steps)}"

    @property
    def caption(self) -> str:
        """What is seen, with the peaks in words."""
        steps = "; ticks at its top begin inner steps" if any(_drawn_steps(t.timeline) for t in self.traces) else ""
        peaks = listed(
            f"{quantity(trace.timeline.peak_bytes, 'B')} for {quoted(shortened(trace.title, 48))}"
            + (f" (phase {quoted(shortened(trace.peak_phase, 24))})" if trace.peak_phase else "")
            for trace in self.traces
        )
        return (
            "Live bytes of the allocator over the baseline, against time, in one meta-gradient of the meta-batch. The "
            f"background says which phase the estimator is in{steps}. "
            "Recording stretches the time, so it is good for order and shape alone; each panel has its own time axis. "
            f"Peak: {peaks}."
        )


@dataclass(frozen=True)
class Groups:
    """What is drawn of a report's traced cells."""

    drawn: list[Group]
    left_out: int
    """Traced cells that are not."""

    @property
    def note(self) -> str:
        """A sentence on the cells left out; empty where there are none."""
        if not self.left_out:
            return ""
        shown = sum(len(group.traces) for group in self.drawn)
        return (
            f"{shown} of {shown + self.left_out} traced cells are drawn: those at the inner steps for which the most "
            "estimators were traced, and the largest of these. All of them lie in the run's folder, under traces."
        )


def groups(runs: Sequence[LoadedRun], settings: Sequence[Setting]) -> Groups:
    """The figures of the runs' traced cells, setting by setting and by ascending K; a cell is in one at most.

    Raises:
        BadInput: A stored timeline is damaged.
    """
    traced: dict[tuple[str, str], Timeline] = {}
    for run in runs:
        measured = {measurement.key: measurement.started_at for measurement in reversed(run.measurements)}
        for timeline in load_timelines(run.path):
            if timeline.key in measured:
                traced[timeline.key, measured[timeline.key]] = timeline
    cells: set[tuple[str, str]] = set()
    found: list[Group] = []
    for setting in settings:
        by_steps: dict[int, list[Trace]] = {}
        for curve in setting.curves:
            for value, measurement in curve.placed():
                cell = measurement.key, measurement.started_at
                if cell in traced and cell not in cells:
                    cells.add(cell)
                    of_several = curve.variable.is_parameter and curve.variable.of(measurement) is not None
                    title = f"{curve.label}, {curve.variable.at(value)}" if of_several else curve.label
                    by_steps.setdefault(measurement.cell.steps, []).append(Trace(title, curve, traced[cell]))
        found += [Group(setting, k, tuple(by_steps[k][:MAX_PANELS])) for k in sorted(by_steps)]
    drawn = _chosen(found)
    return Groups(drawn, len(cells) - sum(len(group.traces) for group in drawn))


def _chosen(found: Sequence[Group]) -> list[Group]:
    """The figures worth a reader's time: of every setting the best before any second best."""
    ranks: dict[int, int] = {}
    places: dict[str, int] = {}
    for index in sorted(range(len(found)), key=lambda i: (-len(found[i].traces), -found[i].steps)):
        title = found[index].setting.title
        ranks[index] = places[title] = places.get(title, -1) + 1
    best = sorted(range(len(found)), key=lambda i: (ranks[i], i))[:MAX_FIGURES]
    return [found[index] for index in sorted(best)]


def draw(group: Group, styles: Styles, look: Look = DEFAULT) -> dict[str, bytes]:
    """The figure as file ending to content, in all of the figures' formats."""
    return rendered(lambda: compose(group, styles, look), look)


def compose(group: Group, styles: Styles, look: Look = DEFAULT) -> Figure:
    """The figure, in the style of the moment: panels side by side, all on one axis of bytes."""
    count, scale = len(group.traces), look.scale
    columns = min(count if count < 4 else 2 if count == 4 else 3, max(1, int(look.width / scale / 2.0)))
    rows = math.ceil(count / columns)
    width = look.width if columns > 1 else min(look.width, 4.8 * scale)
    heading = textwrap.wrap(_heading(group, look), int(width / scale * 19))
    left, right, gap, plot = (scale * each for each in (0.66, 0.12, 0.22, 2.0 if rows == 1 else 1.6))
    above, top, below = (scale * each for each in (0.06 + 0.14 * len(heading), 0.45, 0.5))
    height = above + rows * (top + plot + below)
    inner = (width - left - right - gap * (columns - 1)) / columns
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    highest = max(trace.timeline.peak_bytes for trace in group.traces)
    lowest = min(0, *(min(trace.timeline.live_bytes) for trace in group.traces))
    margin = max(highest - lowest, 1)
    unit = units.scale("B", max(highest, -lowest))
    for index, trace in enumerate(group.traces):
        row, column = divmod(index, columns)
        bottom = height - above - (row + 1) * (top + plot) - row * below
        corner = (left + column * (inner + gap)) / width, bottom / height
        axes = figure.add_axes((*corner, inner / width, plot / height))
        axes.set_ylim(lowest - (0.05 * margin if lowest < 0 else 0), highest + 0.16 * margin)
        _draw_panel(axes, trace, styles[trace.curve.estimator, trace.curve.label], unit, inner / scale, look)
        axes.set_title(shortened(trace.title, round(inner / scale * 15)), pad=18 * scale)
        if column == 0:
            axes.set_ylabel(f"live memory ({unit.symbol})")
        else:
            axes.tick_params(labelleft=False)
    high = 1 - 0.05 * scale / height
    figure.text(0.5, high, "\n".join(heading), ha="center", va="top", fontsize=7 * scale, color="0.35")
    return figure


def _heading(group: Group, look: Look) -> str:
    return shortened(f"{group.setting.title}, {STEPS.at(group.steps)}", 300) if look.heading else ""


def _draw_panel(axes: Axes, trace: Trace, style: Style, unit: Scale, width: float, look: Look) -> None:
    """A panel ``width`` inches wide, at the base font size."""
    timeline = trace.timeline
    seconds, live_bytes = thinned(timeline.seconds, timeline.live_bytes, _POINTS_DRAWN)
    end = max(seconds[-1], *(phase.end_seconds for phase in timeline.phases), 1e-9)
    axes.set_xlim(0.0, end)
    _shade(axes, timeline.phases, width * look.scale, look.scale)
    area = tuple(1 - 0.45 * (1 - channel) for channel in style.colour)  # opaque: the background would muddy it
    axes.fill_between(seconds, live_bytes, step="post", color=area, linewidth=0)
    axes.plot(seconds, live_bytes, drawstyle="steps-post", color=style.colour, linewidth=0.9 * look.scale)
    starts = _drawn_steps(timeline)
    axes.vlines(starts, 0.96, 1, transform=axes.get_xaxis_transform(), color="0.45", linewidth=0.6 * look.scale)
    _mark_peak(axes, timeline, end, look.scale)
    time = units.scale("s", end)
    axes.xaxis.set_major_locator(MaxNLocator(4 if width < 2.5 else 6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / time.factor:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit.factor:g}"))
    axes.set_xlabel(f"time ({time.symbol})")
    seaborn.despine(ax=axes)


def _mark_peak(axes: Axes, timeline: Timeline, end: float, scale: float) -> None:
    at, peak = timeline.peak_at_seconds, timeline.peak_bytes
    dot = {"marker": "o", "markersize": 3.6, "color": "0.1", "markeredgecolor": "white", "markeredgewidth": 0.5}
    axes.plot([at], [peak], **scaled(dot, scale))
    side = "left" if at < 0.15 * end else "right" if at > 0.85 * end else "center"
    axes.annotate(
        quantity(peak, "B"), (at, peak), (0, 4.5 * scale), textcoords="offset points", ha=side, fontsize=8 * scale,
        path_effects=[withStroke(linewidth=2.0 * scale, foreground="white")],
    )  # fmt: skip


def outermost(phases: Sequence[Phase]) -> list[Phase]:
    """The phases that lie in no other and are no inner step, in the order in which they began."""
    found: list[Phase] = []
    for phase in sorted(phases, key=lambda phase: (phase.start_seconds, -phase.end_seconds)):
        if phase.name != STEP and (not found or phase.start_seconds >= found[-1].end_seconds):
            found.append(phase)
    return found


def _drawn_steps(timeline: Timeline) -> list[float]:
    """Where inner steps begin; none where they would be too many to tell apart."""
    starts = [phase.start_seconds for phase in timeline.phases if phase.name == STEP]
    return starts if len(starts) <= _MAX_STEPS_DRAWN else []


def _shade(axes: Axes, phases: Sequence[Phase], width: float, scale: float) -> None:
    """The background by phase, and above it each phase's name, at one of its longer stretches."""
    by_name: dict[str, list[Phase]] = {}
    for phase in outermost(phases):
        by_name.setdefault(phase.name, []).append(phase)
    tints = _tints(by_name)
    for name, stretches in by_name.items():
        spans = [(phase.start_seconds, phase.end_seconds - phase.start_seconds) for phase in stretches]
        axes.broken_barh(spans, (0, 1), transform=axes.get_xaxis_transform(), color=tints[name], linewidth=0, zorder=0)
    end = axes.get_xlim()[1]
    shown = [
        _long_and_nearest(stretches, (rank + 0.5) / len(by_name) * end)
        for rank, stretches in enumerate(by_name.values())
    ]
    named = sorted(sorted(shown, key=_length)[-_MAX_PHASES_NAMED:], key=_centre)
    centres = [_centre(phase) / end for phase in named]
    labels = [shortened(phase.name, 14) for phase in named]
    widths = [(width_inches(label, 7 * scale) + 0.09 * scale) / width for label in labels]
    for label, centre, place in zip(labels, centres, apart(centres, widths), strict=True):
        leader = {"arrowstyle": "-", "linewidth": 0.5 * scale, "color": "0.5", "shrinkA": 0, "shrinkB": 0}
        axes.annotate(
            label, (centre, 1.0), (place, 1.05), xycoords="axes fraction", ha="center", va="bottom", fontsize=7 * scale,
            color="0.2", arrowprops=leader,
        )  # fmt: skip


def _long_and_nearest(stretches: Sequence[Phase], seconds: float) -> Phase:
    """Of the stretches at least half as long as the longest, the one about that time: so that names spread out."""
    longest = max(map(_length, stretches))
    long = [phase for phase in stretches if _length(phase) >= longest / 2]
    return min(long, key=lambda phase: abs(_centre(phase) - seconds))


def _length(phase: Phase) -> float:
    return phase.end_seconds - phase.start_seconds


def _centre(phase: Phase) -> float:
    return (phase.start_seconds + phase.end_seconds) / 2


def _tints(names: Mapping[str, Any]) -> dict[str, str]:
    others = [name for name in names if name not in _TINTS]
    return _TINTS | {name: _SPARE_TINTS[rank % len(_SPARE_TINTS)] for rank, name in enumerate(others)}


def apart(centres: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Centres for labels of the given widths on the line from 0 to 1, ascending: near their own, none on another.

    Where they do not fit, they stick out on the left.
    """
    places: list[float] = []
    for centre, width in zip(centres, widths, strict=True):
        least = places[-1] + (widths[len(places) - 1] + width) / 2 if places else width / 2
        places.append(max(centre, least))
    edge = 1.0
    for index in reversed(range(len(places))):
        places[index] = min(places[index], edge - widths[index] / 2)
        edge = places[index] - widths[index] / 2
    return places
