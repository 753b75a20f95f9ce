"""Markdown tables."""

from collections.abc import Sequence

from harness.exports.document import Document
from harness.report.settings import settings
from harness.report.tables import markdown as tables
from harness.store import LoadedRun


def markdown(runs: Sequence[LoadedRun]) -> Document:
    """The report's tables: one a setting, a row a cell, failed ones with status and reason."""
    return Document(tables(settings(runs)).encode())
