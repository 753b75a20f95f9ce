"""Base against head: what became worse, told apart from what is noise."""

from harness.compare.comparison import Comparison, Finding, compare_runs, require_judged
from harness.compare.documents import HEADERS, as_json, as_junit, as_markdown, change, row
from harness.compare.revisions import Job, Revision, find_revision, run_in_turn

__all__ = [
    "HEADERS",
    "Comparison",
    "Finding",
    "Job",
    "Revision",
    "as_json",
    "as_junit",
    "as_markdown",
    "change",
    "compare_runs",
    "find_revision",
    "require_judged",
    "row",
    "run_in_turn",
]
