"""``imaml-bench doctor``."""

import json
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.options import DeviceOption, JsonOption
from harness.cli.tables import bare_table, console
from harness.errors import BadInput

if TYPE_CHECKING:
    from harness.doctor import Examination, Finding

EXIT_CODES = "Exit codes: 0 every check passed or is unavailable here; 1 a check failed; 2 bad input; 130 interrupted."
_STYLES = {"pass": "green", "fail": "bold red", "unavailable": "yellow"}
_PIPE_COLUMNS = 80


def doctor(
    device: DeviceOption = "auto",
    runs: Annotated[
        int, typer.Option("--runs", help="Processes in which equal codes and a slower one are timed, each.", min=1)
    ] = 15,
    compare: Annotated[
        int | None,
        typer.Option(
            "--compare", help="Only this many trials of compare --confirm, a third more of a slower code.", min=1
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the trials; goes on with what is there.")] = None,
    busy: Annotated[int, typer.Option("--busy", help="Processes that compute beside the trials.", min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Test the meters against planted truths; say what this machine can and cannot measure.

    Takes some 30 seconds on two cores. With --compare 300 it makes trials of the rule by which compare --confirm
    decides, on equal codes and on one that is 10% slower, for some 20 minutes.
    """
    from harness.doctor import examine

    if compare is not None:
        raise typer.Exit(0 if _compared(device, compare, out, busy, as_json) else 1)
    for option in (name for name, given in (("--out", out), ("--busy", busy)) if given):
        raise BadInput(f"{option} is for trials of compare --confirm: add --compare 300, say")
    waiting = Console(stderr=True).status("examining …") if sys.stderr.isatty() else nullcontext()
    with waiting:
        found = examine(device, runs)
    if as_json:
        print(json.dumps({"passed": found.passed, **asdict(found)}, indent=2, ensure_ascii=False))
    else:
        show(found, console(_PIPE_COLUMNS))
    raise typer.Exit(0 if found.passed else 1)


def _compared(device: str, trials: int, out: Path | None, busy: int, as_json: bool) -> bool:
    from harness.doctor.experiment import experiment, summary

    if out is None:
        raise BadInput("--compare needs a folder for its trials: --out FOLDER")
    found = experiment(device, trials, out, busy, lambda line: typer.echo(line, err=True))
    print(found.model_dump_json(indent=2) if as_json else summary(found))
    return found.passed


def show(found: "Examination", to: Console) -> None:
    """Print both tables and the count of the verdicts."""
    to.print(f"{found.device}: {found.device_name}\n", markup=False, highlight=False)
    for table in (_quantities(found), _checks(found)):
        to.print(table)
        to.print()
    counts = Counter(finding.verdict for finding in found.findings)
    words = {"pass": "passed", "fail": "failed", "unavailable": "unavailable"}
    to.print(", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items()), highlight=False)


def _quantities(found: "Examination") -> Table:
    table = _table("measured here", "", "how finely, or why not")
    for quantity in found.quantities:
        answer = Text("no", "yellow") if quantity.reason else Text("yes", "green")
        table.add_row(Text(quantity.name), answer, Text(quantity.reason or quantity.remark or ""))
    return table


def _checks(found: "Examination") -> Table:
    table = _table("check", "verdict", "expected, measured")
    for finding in found.findings:
        verdict = Text(finding.verdict, _STYLES[finding.verdict])
        table.add_row(Text(finding.name), verdict, Text(_said(finding)))
    return table


def _said(finding: "Finding") -> str:
    if finding.measured is None:
        return finding.remark or ""
    same = finding.measured == finding.expected
    said = f"{finding.measured}, as expected" if same else f"{finding.expected}; measured {finding.measured}"
    return f"{said}; {finding.remark}" if finding.remark else said


def _table(*headings: str) -> Table:
    table = bare_table()
    for heading, width in zip(headings, (31, None, None), strict=True):
        table.add_column(heading, width=width, no_wrap=heading == "verdict", overflow="fold")
    return table
