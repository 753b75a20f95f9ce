"""Time against memory against error: which cells no other beats in all of them."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.cell import METRICS, Status
from harness.report.chart_axes import axis, hover, layout, named
from harness.report.charts import Chart, Drawing, marks
from harness.report.quality import BUSY, disturbed
from harness.report.settings import Setting
from harness.report.style import Styles
from harness.report.tables import Row, Table, title
from harness.report.words import error as written_error
from harness.report.words import names
from harness.units import quantity, scale

TIME, MEMORY = "wall_seconds", "peak_bytes"
ERRORS = ("implicit_relative_error", "backprop_relative_error")
"""What a cell's error is, the first that the setting holds."""
FAINT = 0.4
"""Opacity of a cell that another beats."""
FRONTS = 12
"""Most fronts that are joined by lines."""
SLACK = 0.02
"""Relative difference of two times up to which they are called equal."""
NO_ERROR = "no error was measured"


@dataclass(frozen=True)
class Candidate:
    """What one estimator costs at one K, and how far off its meta-gradient is."""

    label: str
    estimator: str
    steps: int
    seconds: float
    peak_bytes: float
    error: float | None
    doubt: str | None = None
    """Why it is compared with no other: :data:`BUSY` or, where others have an error, :data:`NO_ERROR`."""

    def beats(self, other: "Candidate") -> bool:
        """No worse in anything that both were measured in and better in something, nothing being in doubt.

        A time is worse from a 2 % difference on. Without errors it only costs less.
        """
        if self.doubt or other.doubt or (self.error is None) != (other.error is None):
            return False
        mine, theirs = self._measures(), other._measures()
        no_worse = all(a <= b * (1 + s) for a, b, s in zip(mine, theirs, (SLACK, 0.0, 0.0), strict=False))
        return no_worse and any(a * (1 + s) < b for a, b, s in zip(mine, theirs, (SLACK, 0.0, 0.0), strict=False))

    def _measures(self) -> list[float]:
        return [self.seconds, self.peak_bytes, *([] if self.error is None else [self.error])]


def error_metric(setting: Setting) -> str | None:
    """The reference that errors are taken against; ``None`` where there are none."""
    return next((name for name in ERRORS if any(curve.points(name) for curve in setting.curves)), None)


def candidates(setting: Setting) -> list[Candidate]:
    """The cells that ended well with time and memory; those of several seeds count as one, by their medians."""
    metric = error_metric(setting)
    if setting.variable.name != "steps":
        return []
    found: list[Candidate] = []
    for curve in setting.curves:
        seconds, memory = curve.medians(TIME), curve.medians(MEMORY)
        busy = disturbed(setting, curve)
        errors = curve.medians(metric) if metric else {}
        for k in seconds.keys() & memory.keys():
            doubt = BUSY if k in busy else NO_ERROR if metric and k not in errors else None
            costs = seconds[k], memory[k], errors.get(k)
            found.append(Candidate(curve.label, curve.estimator, int(k), *costs, doubt))
    return sorted(found, key=lambda each: each.steps)


def optimal(among: Iterable[Candidate]) -> list[Candidate]:
    """Those that none at the same K beats, what is in doubt left out."""
    pool = [each for each in among if not each.doubt]
    rivals: dict[int, list[Candidate]] = {}
    for each in pool:
        rivals.setdefault(each.steps, []).append(each)
    return [each for each in pool if not any(other.beats(each) for other in rivals[each.steps])]


def pareto_chart(setting: Setting, styles: Styles) -> Chart | None:
    """Time against memory, the best at each K joined; ``None`` where fewer than two estimators can be compared."""
    pool = candidates(setting)
    if len({each.label for each in pool}) < 2:
        return None
    best, metric = optimal(pool), error_metric(setting)
    among_best = set(best)
    in_bytes = scale("B", sorted(each.peak_bytes for each in pool)[len(pool) // 2])
    in_seconds = scale("s", sorted(each.seconds for each in pool)[len(pool) // 2])
    drawing = Drawing()
    for k in _joined(best):
        front = sorted((each for each in best if each.steps == k), key=lambda each: each.seconds)
        drawing.traces.append(
            {
                **{"type": "scatter", "mode": "lines", "hoverinfo": "skip"},
                "x": [each.seconds / in_seconds.factor for each in front],
                "y": [each.peak_bytes / in_bytes.factor for each in front],
                "line": {"color": "#8a919a", "width": 1.2, "dash": "dot"},
            }
        )
    for curve in setting.curves:
        own = [each for each in pool if (each.label, each.estimator) == (curve.label, curve.estimator)]
        if own:
            style = styles[curve.estimator, curve.label]
            trace = {
                **{"type": "scatter", "mode": "markers", "hoverinfo": "text"},
                "x": [each.seconds / in_seconds.factor for each in own],
                "y": [each.peak_bytes / in_bytes.factor for each in own],
                "marker": {
                    **marks(style, size=10),
                    "opacity": [1.0 if each.doubt or each in among_best else FAINT for each in own],
                },
                "hovertext": [_told(each, each in among_best, metric) for each in own],
            }
            drawing.add(curve.label, style, [trace])
    return Chart(
        title="Peak memory against wall time",
        heading=setting.title,
        note=_note(pool, metric),
        series=drawing.series,
        traces=drawing.traces,
        layout=layout(
            axis(named(title(TIME), in_seconds), [each.seconds / in_seconds.factor for each in pool]),
            axis(named(title(MEMORY), in_bytes), [each.peak_bytes / in_bytes.factor for each in pool]),
        ),
    )


def pareto_table(setting: Setting) -> Table | None:
    """The estimators at the largest K at which two or more can be compared, or else at which two have their costs."""
    pool = candidates(setting)
    k = _largest_shared(each for each in pool if not each.doubt) or _largest_shared(pool)
    if k is None:
        return None
    there = [each for each in pool if each.steps == k]
    best, metric = optimal(there), error_metric(setting)
    compared = "of these" if metric else "in time and memory alone"
    headers = [f"at K = {k}", title(TIME), title(MEMORY), title(metric) if metric else "error", compared]
    return Table(headers, [Row(False, _texts(each, there, best, metric)) for each in there])


def _largest_shared(among: Iterable[Candidate]) -> int | None:
    held = [each.steps for each in among]
    return max((k for k in held if held.count(k) > 1), default=None)


def _note(pool: Sequence[Candidate], metric: str | None) -> str:
    """How the chart is read, and what is compared in it."""
    doubts = list(dict.fromkeys(each.doubt for each in pool if each.doubt))
    return " ".join(
        [
            "A point is a cell, faint where another at its K beats it. Dotted lines join those that none beats."
            if metric
            else "A point is a cell, faint where another at its K costs less; dotted lines join the others. "
            "No error was measured: time and memory alone are compared.",
            *(f"Some cells are compared with none: {doubt}." for doubt in doubts),
        ]
    )


def _texts(each: Candidate, there: Sequence[Candidate], best: Sequence[Candidate], metric: str | None) -> list[str]:
    winners = [other.label for other in there if other.beats(each)]
    rivals = [other for other in there if other is not each and not other.doubt]
    if each.doubt:
        verdict = f"not compared: {each.doubt}"
    elif not rivals:
        verdict = "none to compare with"
    elif metric:
        verdict = "Pareto-optimal" if each in best else f"beaten by {names(winners)}"
    else:
        verdict = "none costs less" if each in best else f"costs more than {names(winners)}"
    costs = [_time(each), quantity(each.peak_bytes, METRICS[MEMORY].unit)]
    return [each.label, *costs, "not measured" if each.error is None else written_error(each.error), verdict]


def _joined(best: Iterable[Candidate]) -> list[int]:
    """K with a front to draw, spread evenly where there are many."""
    held = Counter(each.steps for each in best)
    several = sorted(k for k, count in held.items() if count > 1)
    return several[:: math.ceil(len(several) / FRONTS)] if several else []


def _time(each: Candidate) -> str:
    return quantity(each.seconds, METRICS[TIME].unit) + (f" ({BUSY})" if each.doubt == BUSY else "")


def _told(each: Candidate, best: bool, metric: str | None) -> str:
    off = [] if each.error is None or metric is None else [f"{title(metric)} {written_error(each.error)}"]
    costs = f"{_time(each)}, {quantity(each.peak_bytes, 'B')}"
    if each.doubt:
        verdict = f"not compared: {each.doubt}"
    elif metric:
        verdict = "Pareto-optimal at its K" if best else "beaten at its K"
    else:
        verdict = "none at its K costs less" if best else "another at its K costs less"
    return hover(f"{each.label}, K = {each.steps}", costs, *off, verdict, f"status {Status.OK}")
