import io
import math
import sys
from typing import Any

import pandas as pd
import pytest

from harness.cell import Measurement, Status
from harness.errors import BadInput
from harness.exports import export
from harness.frame import frame
from tests.exports.hostile import LABELS
from tests.report.synthetic import measurement, run

TIMED = measurement(
    "iMAML", 4, estimator="imaml-cg", parameters={"cg_steps": 5, "lr": "auto"},
    metrics={"peak_bytes": [77e6], "wall_seconds": [0.3, 0.1, 0.2]},
)  # fmt: skip
FAILED = measurement("MAML", 8, status=Status.OOM, reason="no memory left", parameters={"lr": 0.1})


def read(format: str, *cells: Measurement) -> Any:
    return pd.read_csv(io.BytesIO(export([run(cells)], format).content))


def test_csv_holds_what_the_frame_does() -> None:
    table, expected = read("csv", TIMED, FAILED), frame([run([TIMED, FAILED])])
    assert list(table.columns) == list(expected.columns)
    assert list(table["wall_seconds"].dropna()) == [0.2]
    assert list(table["status"]) == ["ok", "oom"]
    assert table["reason"][1] == "no memory left"
    assert table["wall_seconds_high"][0] == expected["wall_seconds_high"][0]


def test_csv_keeps_infinities_and_leaves_nan_empty() -> None:
    losses = [math.inf, -math.inf, math.nan]
    table = read("csv", *(measurement(steps=k, metrics={"query_loss": [loss]}) for k, loss in enumerate(losses, 1)))
    assert list(table["query_loss"][:2]) == [math.inf, -math.inf]
    assert math.isnan(table["query_loss"][2])


def test_samples_are_rows_and_cells_without_any_are_told() -> None:
    document = export([run([TIMED, FAILED])], "samples-csv")
    table = pd.read_csv(io.BytesIO(document.content))
    assert list(table[table["metric"] == "wall_seconds"]["value"]) == [0.3, 0.1, 0.2]
    assert set(table["unit"]) == {"B", "s"}
    assert document.notices == ["1 of 2 cells left out: 1 oom without a sample"]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("format", ["csv", "samples-csv"])
def test_no_text_is_a_formula_or_breaks_its_row(format: str, label: str) -> None:
    hostile = measurement(label, reason=label, status=Status.CRASH, parameters={label: label}, metrics={label: [1.0]})
    table = read(format, hostile)
    assert len(table) == 1
    texts = [*table.columns, *table.select_dtypes(exclude="number").iloc[0].dropna()]
    assert not [text for text in texts if str(text).startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert table["label"][0].removeprefix("'") == label.replace("\r\n", "\n").replace("\r", "\n")


def test_texts_without_a_formula_are_as_they_were() -> None:
    assert read("csv", measurement("'quoted' = not a formula"))["label"][0] == "'quoted' = not a formula"


def parquet(*cells: Measurement) -> Any:
    pytest.importorskip("pyarrow")
    return pd.read_parquet(io.BytesIO(export([run(cells)], "parquet").content))


def test_parquet_has_a_type_a_column() -> None:
    table = parquet(TIMED, FAILED, measurement("third", 2, parameters={"nested": True}))
    assert list(table.columns) == list(frame([run([TIMED, FAILED, measurement(parameters={"nested": True})])]).columns)
    assert list(table["lr"][:2]) == ["auto", "0.1"]
    assert str(table["cg_steps"].dtype) == "Int64"
    assert str(table["nested"].dtype) == "boolean"
    assert str(table["wall_seconds"].dtype) == "float64"
    assert pd.isna(table["reason"][0])
    assert table["reason"][1] == "no memory left"


@pytest.mark.parametrize("label", LABELS)
def test_parquet_has_texts_as_they_are(label: str) -> None:
    assert parquet(measurement(label))["label"][0] == label


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match=r"needs pyarrow 16 or newer: pip install 'imaml-bench\[parquet\]'"):
        export([run([TIMED])], "parquet")
