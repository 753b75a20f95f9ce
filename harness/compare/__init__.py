"""Base against head: what became worse, told apart from what is noise."""

from harness.compare.comparison import compare_runs, require_judged
from harness.compare.confirm import DETECT
from harness.compare.documents import HEADERS, as_json, as_junit, as_markdown, change, row
from harness.compare.finding import Comparison, Finding
from harness.compare.revisions import Job, Revision, confirm_in_turn, find_revision, revisions_of, run_in_turn

__all__ = [
    "DETECT",
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
    "confirm_in_turn",
    "find_revision",
    "require_judged",
    "revisions_of",
    "row",
    "run_in_turn",
]
