"""Pieces of sentences."""

from collections.abc import Iterable

from harness.units import number


def listed(items: Iterable[str]) -> str:
    """At least one item, as "a, b and c"."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def names(labels: Iterable[str]) -> str:
    """Labels as a list."""
    return listed([quoted(label) for label in labels])


def quoted(label: str) -> str:
    """In quotation marks where it would fall apart in a list."""
    return f"“{label}”" if "," in label or ";" in label else label


def error(value: float) -> str:
    """A relative error, to two digits."""
    return "exact (0)" if value == 0 else number(value, digits=2)


def plain_text(text: str, length: int) -> str:
    """``text`` on one line without control characters, cut in the middle where it is longer than ``length``."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= length else f"{line[: length // 2]}…{line[-(length - length // 2 - 1) :]}"
