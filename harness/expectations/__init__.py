"""A run held against what its suite claims."""

from harness.expectations.evaluate import verdicts
from harness.expectations.render import as_json, counted, margin_text, verdicts_markdown, verdicts_table
from harness.expectations.verdict import Outcome, Verdict, passed

__all__ = [
    "Outcome",
    "Verdict",
    "as_json",
    "counted",
    "margin_text",
    "passed",
    "verdicts",
    "verdicts_markdown",
    "verdicts_table",
]
