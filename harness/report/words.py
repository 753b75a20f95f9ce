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
