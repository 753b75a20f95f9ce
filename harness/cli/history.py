"""``imaml-bench history``."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from harness.cli.options import JsonOption
from harness.cli.stages import stage
from harness.cli.tables import bare_table, console
from harness.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from harness.history import Point, Series

_PIPE_COLUMNS = 160
_HEADERS = ("cell", "metric", "from", "to", "change", "between", "and")


def history(
    folders: Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.", metavar="DIR...")],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Only this metric; repeatable. By default all that can be better or worse."),
    ] = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="All numbers on stdout, a line each.")] = False,
) -> None:
    """Say where a number changed for good over many runs: from what to what, and between which two runs."""
    if as_json and as_csv:
        raise BadInput("--json and --csv: choose one")
    from harness.history import histories, load_runs

    with stage("reading runs"):
        runs, left_out = load_runs(folders)
    with stage("looking for steps"):
        found = histories(runs, metric or ())
    notices = [f"{run.path}: {notice}" for run in runs for notice in run.notices]
    for notice in [*left_out, *notices, *_too_few(found)]:
        typer.echo(f"note: {notice}", err=True)
    if as_json:
        from harness.exports.document import json_bytes

        print(json_bytes([_entry(each) for each in found]).decode(), end="")
    elif as_csv:
        from harness.exports.tidy import csv_bytes

        print(csv_bytes(_flat(found)).decode(), end="")
    else:
        show(found, len(runs), console(_PIPE_COLUMNS))


def show(found: Sequence["Series"], runs: int, to: Console) -> None:
    """Print every step, a table for each setting, and how much was looked at."""
    from harness.units import count_of

    of_setting: dict[str, list[Series]] = {}
    for each in (each for each in found if each.steps):
        of_setting.setdefault(each.setting, []).append(each)
    for setting, alike in of_setting.items():
        to.print(Text(setting, "bold"))
        table = bare_table()
        for header in _HEADERS:
            table.add_column(header, overflow="fold")
        for texts in _rows(alike):
            table.add_row(*map(Text, texts))
        to.print(table)
        to.print()
    steps = count_of(sum(len(each.steps) for each in found), "step change")
    to.print(Text(f"{steps} in {len(found)} series of {count_of(runs, 'run')}"), soft_wrap=True)


def _too_few(found: "Sequence[Series]") -> list[str]:
    """What is missing, where no series is long enough to have a step."""
    from harness.history import MINIMUM_LENGTH

    if not found or any(len(each.points) > 1 for each in found):
        return []
    times = f"{2 * MINIMUM_LENGTH} of a number that differs from run to run, such as a time"
    return [f"a step takes at least 2 runs of one cell on one machine, and {times}"]


def _rows(found: Iterable["Series"]) -> Iterable[list[str]]:
    from harness.cell import METRICS
    from harness.compare import change
    from harness.report.tables import title
    from harness.units import quantity

    for series in found:
        unit = METRICS[series.metric].unit
        for step in series.steps:
            levels = [quantity(value, unit, digits=4) for value in (step.before, step.after)]
            runs = [_told(series.points[index]) for index in (step.index - 1, step.index)]
            yield [series.name, title(series.metric), *levels, change(step.before, step.after), *runs]


def _told(point: "Point") -> str:
    from harness.text import one_line

    return one_line(f"{point.run} ({_revision(point)}, {point.manifest.created_at[:10]})")


def _revision(point: "Point") -> str:
    commit = point.manifest.git_revision
    return f"{commit[:8]}{' and changes' if point.manifest.git_dirty else ''}" if commit else "no git revision"


def _entry(series: "Series") -> dict[str, Any]:
    from harness.cell import METRICS

    points = [
        {
            "run": str(point.run),
            "created_at": point.manifest.created_at,
            "git_revision": point.manifest.git_revision,
            "git_dirty": point.manifest.git_dirty,
            "torch": point.manifest.machine.torch,
            "value": point.value,
        }
        for point in series.points
    ]
    steps = [{"point": step.index, "before": step.before, "after": step.after} for step in series.steps]
    return {
        "key": series.cell.key,
        "cell": series.name,
        "setting": series.setting,
        "machine": series.points[0].manifest.machine.device_name,
        "metric": series.metric,
        "unit": METRICS[series.metric].unit,
        "points": points,
        "steps": steps,
    }


def _flat(found: Sequence["Series"]) -> "pd.DataFrame":
    """One row a point; ``step`` is 1 where the series changed between the run before and this one."""
    import pandas as pd

    entries = [(entry := _entry(series), entry.pop("points"), entry.pop("steps")) for series in found]
    rows = [
        {**series, **point, "step": int(index in {step["point"] for step in steps})}
        for series, points, steps in entries
        for index, point in enumerate(points)
    ]
    return pd.DataFrame(rows)
