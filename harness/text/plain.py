"""Texts of others, made fit for a terminal, a table or a line."""

import re

_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters other than tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of writing
    "\u2028\u2029\ud800-\udfff]"  # line and paragraph separators, halves of surrogate pairs
)


def harmless(text: str) -> str:
    r"""``text`` with what a terminal would obey written out, as in ``\x1b[2J``; tabs and newlines stay."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def is_harmless(text: str) -> bool:
    """Whether :func:`harmless` leaves ``text`` as it is."""
    return _COMMANDS.search(text) is None


def one_line(text: str) -> str:
    """``text`` without line breaks and control characters."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())


def shortened(text: str, length: int) -> str:
    """``text`` on one line without control characters, cut in the middle where it is longer than ``length``."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= length else f"{line[: length // 2]}…{line[-(length - length // 2 - 1) :]}"
