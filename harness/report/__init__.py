"""Figures, tables and a page from stored runs."""

from collections.abc import Sequence
from pathlib import Path

from harness.store import LoadedRun


def write_report(runs: Sequence[LoadedRun], out: Path, style: str = "default") -> Path:
    """Write ``index.html`` (which needs no other file), tables as CSV and Markdown, and figures as PNG, SVG and PDF.

    The same runs give the same bytes. Where the runs hold several settings (problem, dtype, device and so on), each
    has figures of its own.

    Args:
        runs: At least one.
        out: Directory to write to; created where it is missing, files of an earlier report are replaced.
        style: How the figures look: ``default``, ``paper``, ``slides`` or the path of a TOML file.

    Returns:
        Path of the page.

    Raises:
        BadInput: There is no run, no such style, or ``out`` cannot be written to.
    """
    from harness.report.look import find_look
    from harness.report.write import write  # drawing libraries take a second to import

    return write(runs, out, find_look(style))
