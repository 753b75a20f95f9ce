"""Tables on stdout."""

import sys

from rich.console import Console
from rich.table import Table


def console(pipe_columns: int) -> Console:
    """Stdout, as wide as the terminal, or of so many columns where it is none."""
    return Console() if sys.stdout.isatty() else Console(width=pipe_columns)


def bare_table() -> Table:
    """A table without columns yet, and without lines."""
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
