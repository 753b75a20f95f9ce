"""``imaml-bench doctor``."""

import json
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.options import DeviceOption, JsonOption
from harness.cli.tables import bare_table, console

if TYPE_CHECKING:
    from harness.doctor import Examination, Finding

EXIT_CODES = "Exit codes: 0 every check passed or is unavailable here; 1 a check failed; 2 bad input; 130 interrupted."
_STYLES = {"pass": "green", "fail": "bold red", "unavailable": "yellow"}
_PIPE_COLUMNS = 80


def doctor(
    device: DeviceOption = "auto",
    runs: Annotated[
        int, typer.Option("--runs", help="Trials of identical codes, and of a planted slowdown.", min=1)
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Test the meters against planted truths; say what this machine can and cannot measure.

    Takes some 15 seconds on two cores, and with --runs 100 half a minute.
    """
    from harness.doctor import examine

    waiting = Console(stderr=True).status("examining …") if sys.stderr.isatty() else nullcontext()
    with waiting:
        found = examine(device, runs)
    if as_json:
        print(json.dumps({"passed": found.passed, **asdict(found)}, indent=2, ensure_ascii=False))
    else:
        show(found, console(_PIPE_COLUMNS))
    raise typer.Exit(0 if found.passed else 1)


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
