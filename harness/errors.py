"""Errors whose message is the whole story for the reader."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(Exception):
    """What the user asked for cannot be done as asked.

    The message is one line: what is wrong, where (file, key, value) and what would be right. The command line
    prints it without a traceback and exits with code 2.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """The error for a misspelt name: suggests the nearest known one, else lists them all."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"
    return BadInput(f"unknown {kind} '{name}': {hint}")
