"""The report's files."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BadInput
from harness.exports.tidy import csv
from harness.report.figures import draw_all
from harness.report.kinds import OF_STUDIES, OF_THE_PAPER, caption, panels
from harness.report.laws import laws_frame, laws_markdown
from harness.report.look import DEFAULT, Look
from harness.report.page import DrawnFigure, render
from harness.report.settings import Setting, settings
from harness.report.style import styles
from harness.report.table1 import CAPTION, table1
from harness.report.tables import markdown, markdown_table
from harness.report.timeline import Group, Groups, groups
from harness.report.timeline import draw as draw_timelines
from harness.store import LoadedRun


def write(runs: Sequence[LoadedRun], out: Path, style: Look = DEFAULT) -> Path:
    """See :func:`harness.report.write_report`."""
    if not runs:
        raise BadInput("no run to report; name at least one run directory")
    with _os_errors_in_one_line(out):
        out.mkdir(parents=True, exist_ok=True)
    found = settings(runs)
    look = styles(found)
    files: dict[str, bytes] = {
        "table.csv": csv(runs).content,
        "table.md": markdown(found).encode(),
    }
    if laws := laws_markdown(found):
        files["laws.md"] = laws.encode()
        files["laws.csv"] = laws_frame(found).to_csv(index=False, lineterminator="\n").encode()
    comparisons = [(run, beside) for run in runs if (beside := table1(run.measurements))]
    if comparisons:
        parts = [f"## Table 1, run {run.path.name}\n\n{markdown_table(of)}\n{CAPTION}\n" for run, of in comparisons]
        files["table1.md"] = "\n".join(parts).encode()
    figures: list[DrawnFigure] = []
    for study in dict.fromkeys(setting.study for setting in found):
        for kind in OF_STUDIES if study else OF_THE_PAPER:
            drawable = [each for each in found if each.study == study and panels(kind, each)]
            content = draw_all(kind, drawable, look, style)
            for setting, suffix, drawn in zip(drawable, suffixes(drawable), content, strict=True):
                name = f"{kind.name}{_slug(study)}{suffix}"
                files |= {f"{name}.{ending}": content for ending, content in drawn.items()}
                heading = f"{study}. {kind.title}" if study else kind.title
                figures.append(DrawnFigure(heading, caption(kind, setting), setting, name, drawn["svg"], drawn["png"]))
    traced = groups(runs, found)
    timelines: list[DrawnFigure] = []
    for name, group in _named(traced):
        drawn = draw_timelines(group, look, style)
        files |= {f"{name}.{ending}": content for ending, content in drawn.items()}
        timelines.append(DrawnFigure(group.title, group.caption, group.setting, name, drawn["svg"], drawn["png"]))
    files["index.html"] = render(
        runs, found, figures, look, [of for _, of in comparisons], timelines, traced.note
    ).encode()
    with _os_errors_in_one_line(out):
        for name, content in files.items():
            _replace(out / name, content)
    return out / "index.html"


def suffixes(drawable: Sequence[Setting]) -> list[str]:
    """What sets the settings' file names apart: nothing for a single one, else the facts in which they differ."""
    if len(drawable) < 2:
        return [""] * len(drawable)
    facts = [setting.facts for setting in drawable]
    differing = [name for name in facts[0] if len({each[name] for each in facts}) > 1]
    found: list[str] = []
    for each in facts:
        suffix = _slug(" ".join(each[name] for name in differing))
        found.append(suffix if suffix not in found else f"{suffix}-{len(found) + 1}")
    return found


def _named(traced: Groups) -> Iterator[tuple[str, Group]]:
    """The timelines with the names of their files, without ending."""
    for study, steps in dict.fromkeys((group.setting.study, group.steps) for group in traced.drawn):
        alike = [group for group in traced.drawn if (group.setting.study, group.steps) == (study, steps)]
        for group, suffix in zip(alike, suffixes([group.setting for group in alike]), strict=True):
            yield f"timeline{_slug(study)}-k{steps}{suffix}", group


def _slug(text: str) -> str:
    """Safe in a file name, after a hyphen; empty for an empty text."""
    words = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    return f"-{words[:80]}".rstrip("-.")


def _replace(path: Path, content: bytes) -> None:
    """Write so that a reader meets the old file or the new one, whole."""
    written = path.with_name(f"{path.name}.new")
    try:
        written.write_bytes(content)
        written.replace(path)
    except OSError:
        written.unlink(missing_ok=True)
        raise


@contextmanager
def _os_errors_in_one_line(out: Path) -> Generator[None]:
    try:
        yield
    except FileExistsError as error:
        raise BadInput(f"{out} is not a folder; choose another --out") from error
    except OSError as error:
        raise BadInput(f"cannot write to {out}: {error.strerror or error}") from error
