"""Verdicts as tables and as data."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import copysign, isfinite
from typing import Any

from harness.expectations.verdict import Outcome, Verdict
from harness.report.tables import Row, Table, markdown_table
from harness.units import number, percent

LARGEST_MARGIN = 10.0
"""Past which, either way, a margin is not told in full."""


def verdicts_table(verdicts: Iterable[Verdict]) -> Table:
    """One row a verdict."""
    headers = ["verdict", "claim", "measured", "where", "bound", "margin"]
    return Table(headers, [Row(each.outcome is Outcome.FAIL, _texts(each)) for each in verdicts])


def verdicts_markdown(verdicts: Sequence[Verdict]) -> str:
    """How many of each verdict, and the table; nothing in it is read as markup. Empty where there are none."""
    return f"{counted(verdicts)}.\n\n{markdown_table(verdicts_table(verdicts))}" if verdicts else ""


def counted(verdicts: Iterable[Verdict]) -> str:
    """As in "3 of 4 claims hold, 1 was not tested"."""
    counts = Counter(each.outcome for each in verdicts)
    words = [f"{counts[Outcome.PASS]} of {counts.total()} {'claim holds' if counts.total() == 1 else 'claims hold'}"]
    if failed := counts[Outcome.FAIL]:
        words.append(f"{failed} {'fails' if failed == 1 else 'fail'}")
    if untested := counts[Outcome.UNTESTED]:
        words.append(f"{untested} {'was' if untested == 1 else 'were'} not tested")
    return ", ".join(words)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict's fields by name; numbers that are not finite are None."""
    fields = asdict(verdict) | {"outcome": str(verdict.outcome)}
    return {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in fields.items()}


def margin_text(margin: float | None) -> str:
    """As in "25 %", or "> 1,000 %" where it is more than the text has room for; empty where there is none to tell."""
    if margin is None or not isfinite(margin):
        return ""
    if abs(margin) > LARGEST_MARGIN:
        return f"{'>' if margin > 0 else '<'} {number(copysign(100 * LARGEST_MARGIN, margin))} %"
    return percent(margin)


def _texts(of: Verdict) -> list[str]:
    return [str(of.outcome), of.claim, of.measured, of.where, of.bound, margin_text(of.margin)]
