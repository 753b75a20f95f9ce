import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.store import open_run
from tests.report.synthetic import HOSTILE, measurement, run

pytest.importorskip("ruptures")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def stored(tmp_path: Path) -> None:
    """Five runs; from the fourth on, one cell takes 5 % more memory."""
    for day in range(1, 6):
        memory = 1.05e6 if day >= 4 else 1e6
        cells = [
            measurement(HOSTILE, metrics={"peak_bytes": [memory]}),
            measurement("=iMAML", 2, metrics={"peak_bytes": [1e6], "flops": [5.0]}),
        ]
        manifest = run(cells, created_at=f"2026-01-0{day}T00:00:00Z", git_revision=f"{day}" * 40).manifest
        with open_run(tmp_path / "runs" / f"day{day}", manifest) as opened:
            for each in cells:
                opened.append(each)


def test_a_step_is_told_with_its_runs(bench: Command) -> None:
    done = bench("history", "runs")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "1 step change in 3 series of 5 runs"
    told = " ".join(" ".join(lines).split())
    assert "peak memory 1 MB 1.050 MB +5 %" in told
    assert "runs/day3 (33333333, 2026-01-03)" in told
    assert "runs/day4 (44444444, 2026-01-04)" in told


def test_json_holds_the_series(bench: Command) -> None:
    content = json.loads(bench("history", "runs", "--json", "--metric", "peak_bytes").stdout)
    assert [each["metric"] for each in content] == ["peak_bytes", "peak_bytes"]
    assert [each["value"] for each in content[0]["points"]] == [1e6] * 3 + [1.05e6] * 2
    assert content[0]["steps"] == [{"point": 3, "before": 1e6, "after": 1.05e6}]
    assert content[0]["points"][3]["git_revision"] == "4" * 40
    assert content[1]["steps"] == []


def test_csv_has_a_line_a_number(bench: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(bench("history", "runs", "--csv").stdout)))
    assert len(rows) == 15
    assert [(row["run"], row["value"]) for row in rows if row["step"] == "1"] == [("runs/day4", "1050000.0")]


def test_runs_may_be_named_one_by_one(bench: Command) -> None:
    done = bench("history", "runs/day5", "runs/day1")
    assert done.stdout.splitlines()[-1] == "1 step change in 3 series of 2 runs"


def test_of_one_run_it_says_how_many_it_takes(bench: Command) -> None:
    done = bench("history", "runs/day1")
    assert done.stdout.splitlines()[-1] == "0 step changes in 3 series of 1 run"
    assert done.stderr == (
        "note: a step takes at least 2 runs of one cell on one machine, "
        "and 6 of a number that differs from run to run, such as a time\n"
    )
    assert bench("history", "runs/day1", "--metric", "wall_seconds").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["empty"], "empty: holds no run (manifest.json is missing)"),
        (["runs", "--metric", "peak_byte"], "unknown metric 'peak_byte': did you mean 'peak_bytes'?"),
        (["runs", "--json", "--csv"], "--json and --csv: choose one"),
    ],
)
def test_bad_input_is_one_line(bench: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    done = bench("history", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"imaml-bench: {message}\n")
