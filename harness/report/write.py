"""The report's files."""

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BadInput
from harness.frame import frame
from harness.report.figures import OF_STUDIES, OF_THE_PAPER, draw, panels
from harness.report.page import DrawnFigure, render
from harness.report.settings import Setting, settings
from harness.report.style import styles
from harness.report.table1 import CAPTION, table1
from harness.report.tables import markdown, markdown_table
from harness.store import LoadedRun


def write(runs: Sequence[LoadedRun], out: Path) -> Path:
    """See :func:`harness.report.write_report`."""
    if not runs:
        raise BadInput("no run to report; name at least one run directory")
    with _os_errors_in_one_line(out):
        out.mkdir(parents=True, exist_ok=True)
    found = settings(runs)
    look = styles(found)
    files: dict[str, bytes] = {
        "table.csv": frame(runs).to_csv(index=False, lineterminator="\n").encode(),
        "table.md": markdown(found).encode(),
    }
    comparisons = [(run, beside) for run in runs if (beside := table1(run.measurements))]
    if comparisons:
        parts = [f"## Table 1, run {run.path.name}\n\n{markdown_table(of)}\n{CAPTION}\n" for run, of in comparisons]
        files["table1.md"] = "\n".join(parts).encode()
    figures: list[DrawnFigure] = []
    for study in dict.fromkeys(setting.study for setting in found):
        for kind in OF_STUDIES if study else OF_THE_PAPER:
            drawable = [each for each in found if each.study == study and panels(kind, each)]
            for setting, suffix in zip(drawable, suffixes(drawable), strict=True):
                drawn = draw(kind, setting, look)
                name = f"{kind.name}{_slug(study)}{suffix}"
                files |= {f"{name}.{ending}": content for ending, content in drawn.items()}
                heading = f"{study}. {kind.title}" if study else kind.title
                figures.append(DrawnFigure(heading, kind.caption, setting, name, drawn["svg"]))
    files["index.html"] = render(runs, found, figures, [of for _, of in comparisons]).encode()
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
