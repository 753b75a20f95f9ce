"""Stored runs in the formats of other tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from harness.errors import unknown

if TYPE_CHECKING:
    from harness.exports.document import Document
    from harness.store import LoadedRun

HEADLINE = (
    *("wall_seconds", "cuda_seconds", "peak_bytes", "flops"),
    *("backprop_relative_error", "implicit_relative_error"),
)
"""The metrics a paper or a dashboard is about; of each, less is better."""


@dataclass(frozen=True)
class Format:
    """A format, and who writes it."""

    meaning: str
    writer: str
    """``module:function`` below this package; imported when it is used."""
    metrics: tuple[str, ...] = ()
    """What it holds unless asked for others; empty for everything."""
    binary: bool = False


FORMATS = {
    "csv": Format("one row a cell", "tidy:csv"),
    "samples-csv": Format("one row a sample", "tidy:samples_csv"),
    "parquet": Format("as csv, with types", "tidy:parquet", binary=True),
    "markdown": Format("a table a setting", "markdown:markdown"),
    "latex": Format("the same for a paper (booktabs)", "latex:latex", HEADLINE),
    "pytest-benchmark": Format("for pytest-benchmark compare", "pytest_json:pytest_benchmark_json"),
    "github-action-benchmark": Format("for its customSmallerIsBetter", "github_json:github_action_benchmark", HEADLINE),
}


def find_format(name: str) -> Format:
    """The format called ``name``.

    Raises:
        BadInput: There is none; the message suggests the nearest.
    """
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return FORMATS[name]


def export(runs: Sequence[LoadedRun], format: str, metrics: Sequence[str] = ()) -> Document:
    """The runs in one of ``FORMATS``.

    Args:
        runs: At least one.
        format: Name of the format.
        metrics: The metrics to hold; the format's own choice where empty.

    Raises:
        BadInput: No such format or metric, what the format needs is not installed, or it cannot hold these runs.
    """
    from harness.exports.selection import select

    chosen = find_format(format)
    module, _, function = chosen.writer.partition(":")
    write = getattr(import_module(f"harness.exports.{module}"), function)
    return write(select(runs, metrics or chosen.metrics))
