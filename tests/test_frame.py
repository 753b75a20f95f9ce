import math
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.cell import Status
from harness.errors import BadInput
from harness.frame import frame, samples
from harness.store import open_run
from tests.report.synthetic import measurement, run

TIMED = measurement(
    "iMAML",
    4,
    estimator="imaml-cg",
    parameters={"cg_steps": 5, "lr": "auto"},
    metrics={"peak_bytes": [77e6], "wall_seconds": [0.3, 0.1, 0.2, 0.4, 0.5]},
)
FAILED = measurement("MAML", 8, status=Status.OOM, reason="no memory left", parameters={"lr": 0.1})


def test_a_row_is_a_cell_with_its_medians_and_quartiles() -> None:
    table = frame([run([TIMED, FAILED])])
    assert len(table) == 2
    row = table.iloc[0]
    assert (row["suite"], row["run"], row["problem"], row["problem_dim"]) == ("fig2b", "today", "linear", 50)
    assert (row["label"], row["estimator"], row["steps"], row["status"]) == ("iMAML", "imaml-cg", 4, "ok")
    assert (row["tasks"], row["dtype"], row["device"], row["device_name"]) == (1, "float32", "cpu", "Some CPU")
    assert (row["wall_seconds"], row["wall_seconds_low"], row["wall_seconds_high"]) == (0.3, 0.2, 0.4)
    assert (row["wall_seconds_count"], row["peak_bytes"]) == (5, 77e6)


def test_only_sampled_metrics_have_quartiles() -> None:
    columns = list(frame([run([TIMED, FAILED])]).columns)
    assert columns[-5:] == [
        *("wall_seconds", "wall_seconds_low", "wall_seconds_high", "wall_seconds_count"),
        "peak_bytes",
    ]


def test_a_failed_cell_has_a_reason_and_no_numbers() -> None:
    row = frame([run([TIMED, FAILED])]).iloc[1]
    assert (row["status"], row["reason"]) == ("oom", "no memory left")
    assert math.isnan(row["wall_seconds"])


def test_whole_numbers_stay_whole_beside_gaps() -> None:
    table = frame([run([TIMED, FAILED])])
    assert str(table["cg_steps"].dtype) == "Int64"
    assert pd.isna(table["cg_steps"].iloc[1])
    assert "5,auto" in table.to_csv(index=False)


def test_parameters_do_not_hide_other_columns() -> None:
    clash = measurement(parameters={"status": 3, "wall_seconds": 4, "problem_dim": 6, "widths": [1, 2]})
    row = frame([run([clash])]).iloc[0]
    assert (row["status"], row["problem_dim"]) == ("ok", 50)
    assert (row["estimator_status"], row["estimator_wall_seconds"], row["estimator_problem_dim"]) == (3, 4, 6)
    assert row["widths"] == "[1, 2]"


def test_runs_share_one_frame() -> None:
    table = frame([run([TIMED], path="runs/a"), run([FAILED], path="runs/b")])
    assert list(table["run"]) == ["a", "b"]


def test_a_run_without_measurements_gives_an_empty_frame() -> None:
    assert frame([run([])]).empty
    assert "label" in frame([run([])]).columns


def test_samples_are_rows_in_the_long_form() -> None:
    table = samples([run([TIMED, FAILED])])
    assert len(table) == 6
    times = table[table["metric"] == "wall_seconds"]
    assert list(times["value"]) == [0.3, 0.1, 0.2, 0.4, 0.5]
    assert list(times["sample"]) == [0, 1, 2, 3, 4]
    assert set(times["unit"]) == {"s"}
    assert set(times["label"]) == {"iMAML"}


def test_infinite_samples_leave_no_warning() -> None:
    row = frame([run([measurement(metrics={"query_loss": [math.inf, 1.0, math.inf]})])]).iloc[0]
    assert math.isnan(row["query_loss"])


def test_metrics_unknown_to_this_version_come_last() -> None:
    odd = measurement(metrics={"aura": [1.0], "peak_bytes": [2.0]})
    assert list(frame([run([odd])]).columns)[-2:] == ["peak_bytes", "aura"]


def test_read_run_reads_a_stored_run(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", run([TIMED]).manifest) as stored:
        stored.append(TIMED)
    assert list(harness.read_run(tmp_path / "run")["peak_bytes"]) == [77e6]
    with pytest.raises(BadInput, match="no such folder"):
        harness.read_run(tmp_path / "nowhere")


def test_studies_are_named_where_there_are_any() -> None:
    both = measurement(studies=[{"title": title, "label": "MAML"} for title in ("one", "two")])
    assert list(frame([run([both, FAILED])])["studies"]) == ["one; two", ""]
    assert "studies" not in frame([run([FAILED])]).columns
