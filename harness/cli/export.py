"""``imaml-bench export``."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.stages import read_runs, stage
from harness.errors import BadInput, os_errors
from harness.exports import FORMATS, find_format


def export(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, in one file.")],
    name: Annotated[
        str,
        typer.Option(
            "--format", help="; ".join(f"{name}: {of.meaning}" for name, of in FORMATS.items()) + ".", metavar="FORMAT"
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; stdout by default.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Only this metric; repeatable. Each format has its own choice.")
    ] = None,
) -> None:
    """Write runs for other tools: tables, or the files benchmark trackers read."""
    if find_format(name).binary and out is None:
        raise BadInput(f"format {name} is not text; name a file for it with --out")
    from harness.exports import export as write

    loaded = read_runs(runs)
    with stage("writing"):
        document = write(loaded, name, metric or ())
    if out is None:
        typer.echo(document.content, nl=False)
    else:
        with os_errors(f"cannot write to {out}"):
            out.write_bytes(document.content)
    for notice in [*(f"{run.path}: {notice}" for run in loaded for notice in run.notices), *document.notices]:
        typer.echo(f"note: {notice}", err=True)
