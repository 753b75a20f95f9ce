"""``imaml-bench compare``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from harness.cli.options import (
    DeviceOption,
    EstimatorOption,
    JsonOption,
    StepsOption,
    ThreadsOption,
    parse_share,
    parse_step_list,
)
from harness.cli.stages import read_runs, stage
from harness.cli.tables import bare_table, console
from harness.errors import BadInput, os_errors

if TYPE_CHECKING:
    from harness.compare import Comparison, Finding, Revision

EXIT_CODES = "Exit codes: 0 nothing is worse; 1 something is; 2 bad input; 130 interrupted."
_STYLES = {"worse": "bold red", "unclear": "yellow", "better": "green", "same": "dim"}
_PIPE_COLUMNS = 160
MOST_SHOWN = 500
"""Findings that are printed; nobody reads more of them in a terminal."""


def compare(
    base: Annotated[str, typer.Argument(help="Run directory, git revision, or . for the working tree.")],
    head: Annotated[str, typer.Argument(help="The same; what may have become worse.")],
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Judge only this metric; repeatable. All by default.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare runs of different machines too; their times are not judged.")
    ] = False,
    detect: Annotated[
        str, typer.Option("--detect", help="Slowdown you care about: what finding it takes is said.", metavar="SHARE")
    ] = "10%",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Measure times that are unclear or changed again, until they are decided.")
    ] = False,
    suite: Annotated[
        str | None, typer.Option("--suite", help="Of two revisions: what to measure; ci by default.")
    ] = None,
    repeat: Annotated[
        int, typer.Option("--repeat", help="Of two revisions: processes to measure each cell in.", min=1)
    ] = 3,
    steps: StepsOption = None,
    estimator: EstimatorOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Of what is measured: folder for both runs; under runs/ by default.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="File to write a Markdown report to.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="File to write JUnit XML to.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show what is the same too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what became worse from BASE to HEAD, and what better: of each cell, each number.

    Two run directories are read. Two git revisions are checked out and measured here, their processes in turn, each
    imported from its checkout by this interpreter; a run directory of the same name is preferred. With --confirm the
    times that are unclear or changed are measured again, in turn, in up to 40 new processes a side.
    """
    from harness.compare import (
        Job,
        as_junit,
        as_markdown,
        compare_runs,
        confirm_in_turn,
        require_judged,
        revisions_of,
        run_in_turn,
    )
    from harness.compare import as_json as json

    slowdown = parse_share(detect)
    ours, theirs = _side("BASE", base), _side("HEAD", head)
    parse_step_list(steps)
    require_judged(metric or ())
    measuring = {"--suite": suite, "--steps": steps, "--estimator": estimator, "--threads": threads, "--out": out}
    in_turn = False
    if not isinstance(ours, Path) and not isinstance(theirs, Path):
        in_turn, revisions = True, (ours, theirs)
        options = ["--device", device, *(["--threads", str(threads)] if threads else [])]
        job = Job.of(suite or "ci", estimator, repeat, [*options, *(["--steps", steps] if steps else [])])
        folder = out or Path("runs") / f"{job.suite.stem}-{ours.short}-{theirs.short}"
        runs = run_in_turn(*revisions, job, folder, _tell)
        again = folder / "confirm"
    elif isinstance(ours, Path) and isinstance(theirs, Path):
        for option in (name for name, given in measuring.items() if given and not (confirm and name == "--out")):
            raise BadInput(f"{option} is for measuring two git revisions; {base} and {head} are runs already")
        runs = read_runs([ours, theirs])
        revisions = revisions_of(*runs) if confirm else None
        options = ["--device", runs[0].manifest.machine.device, "--threads", str(runs[0].manifest.machine.threads)]
        again = out or Path("runs") / "-".join(["confirm", *(each.short for each in revisions or ())])
    else:
        raise BadInput(f"{_told(ours)} and {_told(theirs)}: compare two runs, or two revisions")
    with stage("comparing"):
        comparison = compare_runs(*runs, force=force, in_turn=in_turn, metrics=metric or (), detect=slowdown)
    if confirm and revisions:
        comparison = confirm_in_turn(comparison, *revisions, options, again, slowdown, _tell)
    findings = comparison.findings if show_all else comparison.changes
    if markdown:
        _write(markdown, as_markdown(comparison, findings).encode())
    if junit:
        _write(junit, as_junit(comparison))
    if as_json:
        print(json(comparison).decode(), end="")
    else:
        show(comparison, findings, console(_PIPE_COLUMNS))
    raise typer.Exit(1 if comparison.failed else 0)


def show(comparison: "Comparison", findings: Sequence["Finding"], to: Console) -> None:
    """Print the findings, the gravest of them where they are many, what else to know, and the verdicts counted."""
    from harness.compare import HEADERS, row

    of_setting: dict[str, list[Finding]] = {}
    for each in findings[:MOST_SHOWN]:
        of_setting.setdefault(each.setting, []).append(each)
    for setting, alike in of_setting.items():
        to.print(Text(setting, "bold"))
        table = bare_table()
        for header in HEADERS:
            table.add_column(header, overflow="fold")
        for each in alike:
            verdict, *texts = row(each)
            table.add_row(Text(verdict, _STYLES[each.verdict]), *map(Text, texts))
        to.print(table)
        to.print()
    if len(findings) > MOST_SHOWN:
        left_out = len(findings) - MOST_SHOWN
        to.print(Text(f"note: {left_out:,} more findings, of no graver verdicts; --json and --markdown have all"))
    for notice in comparison.notes:
        to.print(Text(f"note: {notice}"), soft_wrap=True)
    to.print(Text(comparison.summary), soft_wrap=True)


def _side(which: str, name: str) -> "Path | Revision":
    """A run directory, else a revision."""
    from harness.compare import find_revision
    from harness.store import MANIFEST

    found = Path(name) if (Path(name) / MANIFEST).exists() else find_revision(name)
    if found is None:
        what = "a folder without a run, and no git revision" if Path(name).is_dir() else "neither a run nor a revision"
        raise BadInput(f"{which}: {name}: {what} of the repository around this folder")
    typer.echo(f"{which.lower()}: {_told(found)}", err=True)
    return found


def _told(side: "Path | Revision") -> str:
    return f"the run {side}" if isinstance(side, Path) else str(side)


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _write(path: Path, content: bytes) -> None:
    with os_errors(f"cannot write to {path}"):
        path.write_bytes(content)
