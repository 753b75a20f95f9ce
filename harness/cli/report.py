"""``imaml-bench report``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import JsonOption
from harness.cli.stages import read_runs, stage


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, shown on one page.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the report; 'report' in the first run by default.")
    ] = None,
    style: Annotated[
        str, typer.Option("--style", help="How figures look: default, paper, slides, or the path of a TOML file.")
    ] = "default",
    as_json: JsonOption = False,
) -> None:
    """Draw the figures, tables and the page of one or several runs."""
    from harness.ci.github import append_summary
    from harness.ci.summary import run_summary
    from harness.errors import os_errors
    from harness.files import make_folder
    from harness.report import write_report

    loaded = read_runs(runs)
    if out is None:
        out = runs[0] / "report"
        with os_errors(f"cannot write to {out}"):
            make_folder(out)
    with stage("drawing figures, tables and the page"):
        page = write_report(loaded, out, style)
    for notice in (f"{run.path}: {notice}" for run in loaded for notice in run.notices):
        typer.echo(f"note: {notice}", err=True)
    append_summary(lambda: run_summary(loaded))
    print(json.dumps({"page": str(page)}) if as_json else page)
