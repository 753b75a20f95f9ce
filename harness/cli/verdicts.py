"""What the command line says of expectations."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from harness.cli.tables import bare_table, console

if TYPE_CHECKING:
    from harness.expectations import Verdict

_STYLES = {"pass": "green", "fail": "bold red", "not tested": "yellow"}
_PIPE_COLUMNS = 120


def tell(verdicts: "Sequence[Verdict]", *, as_json: bool, quiet: bool = False, suite: Path | None = None) -> None:
    """Print the verdicts, and annotate the failed ones where this is a step of a GitHub workflow.

    Args:
        verdicts: Any; nothing is said of none.
        as_json: A line of JSON each, in place of the table; annotations then go to stderr, which GitHub reads as well.
        quiet: Name the failed ones alone, on stderr.
        suite: The file the claims are from.
    """
    from harness.ci.github import annotations, commands_stopped, in_actions
    from harness.expectations import as_json as fields
    from harness.text import one_line

    failed = [each for each in verdicts if each.outcome == "fail"]
    if as_json:
        for each in verdicts:
            print(json.dumps({"expectation": fields(each)}, ensure_ascii=False))
    elif quiet:
        for each in failed:
            line = one_line(f"expectation failed: {each.claim}: {each.sentence}")
            print(f"imaml-bench: {line}", file=sys.stderr)
    elif verdicts:
        with commands_stopped():
            show(verdicts, console(_PIPE_COLUMNS))
    if in_actions():
        for line in annotations(verdicts, suite):
            print(line, file=sys.stderr if as_json else sys.stdout, flush=True)


def show(verdicts: "Sequence[Verdict]", to: Console) -> None:
    """Print the table and the count of the verdicts."""
    from harness.expectations import counted, margin_text
    from harness.text import one_line

    table = bare_table()
    for heading in ("verdict", "claim", "measured", "bound", "margin"):
        narrow = heading in ("verdict", "margin")
        table.add_column(heading, no_wrap=narrow, overflow="fold", justify="right" if heading == "margin" else "left")
    for each in verdicts:
        cells = [Text(one_line(text)) for text in (each.claim, each.found, each.bound, margin_text(each.margin))]
        table.add_row(Text(each.outcome, _STYLES[each.outcome]), *cells)
    to.print(table)
    to.print(counted(verdicts), markup=False, highlight=False)
