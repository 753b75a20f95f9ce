"""A run on a page of Markdown."""

from collections.abc import Iterable, Sequence
from html import escape

from harness.cell import METRICS, Measurement, Status
from harness.expectations import Verdict, verdicts_markdown
from harness.report.findings import findings
from harness.report.settings import Setting, settings
from harness.report.tables import Row, Table, escaped, markdown_table, title
from harness.report.variables import written
from harness.statistics import summarise
from harness.store import LoadedRun
from harness.text import one_line
from harness.units import quantity

SHOWN = ("peak_bytes", "wall_seconds", "backprop_relative_error", "implicit_relative_error")
LARGEST_TABLE = 30
"""Rows of a setting above which only its ends are shown."""


def verdicts_summary(name: str, verdicts: Sequence[Verdict]) -> str:
    """The verdicts on the run called ``name``; empty where there are none."""
    return f"## {escaped(name)}: expectations\n\n{verdicts_markdown(verdicts)}\n" if verdicts else ""


def run_summary(runs: Sequence[LoadedRun]) -> str:
    """What the runs found, in sentences, and the numbers of their figures."""
    found = settings(runs)
    names = ", ".join(dict.fromkeys(run.manifest.suite.name for run in runs))
    parts = [_of_setting(each, folded=len(found) > 1) for each in found]
    return f"## {escaped(names)}\n\n" + "\n".join(parts)


def headline(setting: Setting) -> Table:
    """Peak memory, time and error by estimator and by what is varied: all of it, or the ends of a large grid."""
    curves = [curve.placed() for curve in setting.curves]
    if sum(map(len, curves)) > LARGEST_TABLE:
        curves = [[curve[0], curve[-1]] if len(curve) > 1 else curve for curve in curves]
    placed = [each for curve in curves for each in curve]
    metrics = [name for name in SHOWN if any(each.metrics.get(name) for _, each in placed)]
    headers = ["estimator", setting.variable.title, *map(title, metrics), "status"]
    rows = [
        Row(each.status is not Status.OK, [each.cell.label, written(value), *_numbers(each, metrics), each.ending])
        for value, each in placed
    ]
    return Table(headers, rows)


def _of_setting(setting: Setting, *, folded: bool) -> str:
    sentences = "".join(f"- {escaped(each)}\n" for each in findings(setting))
    body = f"{sentences}\n{markdown_table(headline(setting))}"
    if not folded:
        return f"{escaped(setting.title)}\n\n{body}"
    return f"<details><summary>{escape(one_line(setting.title))}</summary>\n\n{body}\n</details>\n"


def _numbers(measurement: Measurement, metrics: Iterable[str]) -> list[str]:
    held = measurement.metrics
    return [quantity(summarise(held[name]).median, METRICS[name].unit) if held.get(name) else "" for name in metrics]
