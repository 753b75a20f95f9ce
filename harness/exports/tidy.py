"""Tidy tables: CSV and Parquet."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.errors import BadInput
from harness.exports.document import Document, left_out
from harness.frame import frame, samples
from harness.store import LoadedRun

_FORMULA = ("=", "+", "-", "@", "\t")


def csv(runs: Sequence[LoadedRun]) -> Document:
    """One row a cell, failed ones included, as by :func:`harness.frame.frame`.

    An empty field is a number that is missing or not a number; infinite ones are ``inf`` and ``-inf``. A text that a
    spreadsheet would run as a formula has an apostrophe before it, at which it shows the text: runs may come from
    anyone. Parquet has texts as they are.
    """
    return Document(csv_bytes(frame(runs)))


def samples_csv(runs: Sequence[LoadedRun]) -> Document:
    """One row a sample, as by :func:`harness.frame.samples`; texts and numbers as in :func:`csv`."""
    measurements = [each for run in runs for each in run.measurements]
    silent = (f"{each.status} without a sample" for each in measurements if not any(each.metrics.values()))
    return Document(csv_bytes(samples(runs)), left_out(silent, len(measurements)))


def parquet(runs: Sequence[LoadedRun]) -> Document:
    """As :func:`csv`, each column of one type: a parameter that is here a number and there a text is text.

    Raises:
        BadInput: pyarrow is missing or too old.
    """
    cells = frame(runs)
    typed = cells.assign(**{str(name): _typed(column) for name, column in cells.items()})
    try:
        return Document(typed.to_parquet(None, engine="pyarrow", index=False))
    except ImportError as error:
        raise BadInput("format parquet needs pyarrow 16 or newer: pip install 'imaml-bench[parquet]'") from error


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as CSV, with texts and numbers as in :func:`csv`."""
    texts = table.select_dtypes(exclude="number")
    quiet = table.assign(**{str(name): column.map(_quiet) for name, column in texts.items()})
    return quiet.rename(columns=_quiet).to_csv(index=False, lineterminator="\n").encode()


def _quiet(value: Any) -> Any:
    """A text that no spreadsheet runs, and without carriage returns, at which readers end the row."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(_FORMULA) else text


def _typed(column: pd.Series) -> pd.Series:
    if column.dtype != object:
        return column
    if {type(value) for value in column.dropna()} == {bool}:
        return column.astype("boolean")
    return column.map(str, na_action="ignore").astype("string")
