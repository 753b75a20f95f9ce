"""The report's files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from harness.errors import BadInput, os_errors
from harness.exports.tidy import csv, csv_bytes
from harness.files import remove_remnants, replace
from harness.report.figures import draw_all
from harness.report.file_names import FileNames, slug
from harness.report.kinds import OF_STUDIES, OF_THE_PAPER, caption, panels
from harness.report.laws import laws_frame, laws_markdown
from harness.report.look import DEFAULT, Look
from harness.report.page import DrawnFigure, render
from harness.report.settings import Setting, settings
from harness.report.style import Styles, styles
from harness.report.table1 import CAPTION, table1
from harness.report.tables import Table, markdown, markdown_table
from harness.report.timeline import Group, Groups, groups
from harness.report.timeline import draw as draw_timelines
from harness.store import LoadedRun

Drawn: TypeAlias = dict[str, bytes]
"""A figure's files, by their endings."""


def write(runs: Sequence[LoadedRun], out: Path, look: Look = DEFAULT) -> Path:
    """See :func:`harness.report.write_report`."""
    if not runs:
        raise BadInput("no run to report; name at least one run directory")
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is not a folder; choose another --out")
    with os_errors(f"cannot write to {out}"):
        out.mkdir(parents=True, exist_ok=True)
    found = settings(runs)
    chosen = styles(found)
    traced = groups(runs, found)
    names = FileNames()
    figures = list(_figures(found, chosen, look, names))
    timelines = list(_timelines(traced, chosen, look, names))
    comparisons = [(run, beside) for run in runs if (beside := table1(run.measurements))]
    files = _tables(runs, found, comparisons)
    for figure, drawn in (*figures, *timelines):
        files |= {f"{figure.name}.{ending}": content for ending, content in drawn.items()}
    files["index.html"] = render(
        runs,
        found,
        [figure for figure, _ in figures],
        chosen,
        [of for _, of in comparisons],
        [figure for figure, _ in timelines],
        traced.note,
    ).encode()
    with os_errors(f"cannot write to {out}"):
        remove_remnants(out)
        for name, content in files.items():
            replace(out / name, content)
    return out / "index.html"


def _tables(
    runs: Sequence[LoadedRun], found: Sequence[Setting], comparisons: Sequence[tuple[LoadedRun, Table]]
) -> dict[str, bytes]:
    """Files of numbers, by name."""
    files = {"table.csv": csv(runs).content, "table.md": markdown(found).encode()}
    if laws := laws_markdown(found):
        files |= {"laws.md": laws.encode(), "laws.csv": csv_bytes(laws_frame(found))}
    if comparisons:
        parts = [f"## Table 1, run {run.name}\n\n{markdown_table(of)}\n{CAPTION}\n" for run, of in comparisons]
        files["table1.md"] = "\n".join(parts).encode()
    return files


def _figures(
    found: Sequence[Setting], chosen: Styles, look: Look, names: FileNames
) -> Iterator[tuple[DrawnFigure, Drawn]]:
    """Those of each study, or of the paper, for every setting that has something to show in them."""
    for study in dict.fromkeys(setting.study for setting in found):
        for kind in OF_STUDIES if study else OF_THE_PAPER:
            drawable = [each for each in found if each.study == study and panels(kind, each)]
            contents = draw_all(kind, drawable, chosen, look)
            for setting, suffix, drawn in zip(drawable, suffixes(drawable), contents, strict=True):
                name = names.unique(f"{kind.name}{slug(study)}{suffix}")
                heading = f"{study}. {kind.title}" if study else kind.title
                yield DrawnFigure(heading, caption(kind, setting), setting, name, drawn["svg"], drawn["png"]), drawn


def _timelines(traced: Groups, chosen: Styles, look: Look, names: FileNames) -> Iterator[tuple[DrawnFigure, Drawn]]:
    """Those of the traced cells."""
    for wanted, group in _named(traced):
        name, drawn = names.unique(wanted), draw_timelines(group, chosen, look)
        yield DrawnFigure(group.title, group.caption, group.setting, name, drawn["svg"], drawn["png"]), drawn


def suffixes(drawable: Sequence[Setting]) -> list[str]:
    """What sets the settings' file names apart: nothing for a single one, else the facts in which they differ."""
    if len(drawable) < 2:
        return [""] * len(drawable)
    facts = [setting.facts for setting in drawable]
    differing = [name for name in facts[0] if len({each[name] for each in facts}) > 1]
    return FileNames().all_unique(slug(" ".join(each[name] for name in differing)) for each in facts)


def _named(traced: Groups) -> Iterator[tuple[str, Group]]:
    """The timelines with the names of their files, without ending."""
    for study, steps in dict.fromkeys((group.setting.study, group.steps) for group in traced.drawn):
        alike = [group for group in traced.drawn if (group.setting.study, group.steps) == (study, steps)]
        for group, suffix in zip(alike, suffixes([group.setting for group in alike]), strict=True):
            yield f"timeline{slug(study)}-k{steps}{suffix}", group
