import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.cell import Status
from harness.exports import FORMATS
from harness.store import open_run
from tests.report.synthetic import measurement, run

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def stored(tmp_path: Path) -> Path:
    """A run of two cells, of which one failed, and of a third that is planned only."""
    cells = [
        measurement("MAML, λ", metrics={"wall_seconds": [0.1, 0.2], "flops": [5.0], "query_loss": [1.0]}),
        measurement("MAML, λ", 2, status=Status.OOM, reason="no memory left"),
    ]
    path = tmp_path / "out"
    with open_run(path, run([*cells, measurement(steps=4)]).manifest) as opened:
        for each in cells:
            opened.append(each)
    return path


TEXTS = [name for name, format in FORMATS.items() if not format.binary]


@pytest.mark.parametrize("format", TEXTS)
def test_the_same_comes_on_stdout_and_in_a_file(bench: Command, tmp_path: Path, format: str) -> None:
    shown = bench("export", "out", "--format", format)
    assert shown.returncode == 0
    assert "MAML" in shown.stdout
    written = bench("export", "out", "--format", format, "--out", "file")
    assert (written.returncode, written.stdout) == (0, "")
    assert (tmp_path / "file").read_bytes() == shown.stdout.encode()
    assert written.stderr == shown.stderr


def test_csv_is_what_read_run_reads(bench: Command, stored: Path) -> None:
    table = pd.read_csv(io.StringIO(bench("export", "out", "--format", "csv").stdout))
    expected = harness.read_run(stored)
    assert list(table.columns) == list(expected.columns)
    assert list(table["label"]) == list(expected["label"]) == ["MAML, λ", "MAML, λ"]


def test_parquet_goes_to_a_file_alone(bench: Command, tmp_path: Path) -> None:
    refused = bench("export", "out", "--format", "parquet")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "imaml-bench: format parquet is not text; name a file for it with --out\n"
    pytest.importorskip("pyarrow")
    assert bench("export", "out", "--format", "parquet", "--out", "run.parquet").returncode == 0
    assert list(pd.read_parquet(tmp_path / "run.parquet")["status"]) == ["ok", "oom"]


def test_what_is_left_out_is_told_on_stderr(bench: Command) -> None:
    done = bench("export", "out", "--format", "pytest-benchmark")
    assert len(json.loads(done.stdout)["benchmarks"]) == 1
    assert done.stderr.splitlines() == [
        "note: out: 1 of 3 planned cells have no measurement",
        "note: 1 of 2 cells left out: 1 oom",
    ]


def test_metrics_may_be_chosen(bench: Command) -> None:
    done = bench("export", "out", "--format", "github-action-benchmark", "--metric", "flops", "--metric", "query_loss")
    assert [entry["value"] for entry in json.loads(done.stdout)] == [5.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--format", "csv"], "nowhere: no such folder"),
        (["out", "--format", "cvs"], "unknown format 'cvs': did you mean 'csv'?"),
        (["out", "--format", "csv", "--metric", "flop"], "unknown metric 'flop': did you mean 'flops'?"),
        (
            ["out", "--format", "csv", "--out", "missing/file"],
            "cannot write to missing/file: No such file or directory",
        ),
        (["out", "--format", "csv", "--out", "out"], "cannot write to out: Is a directory"),
    ],
)
def test_bad_input_is_one_line(bench: Command, arguments: list[str], message: str) -> None:
    done = bench("export", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"imaml-bench: {message}\n"


def test_the_formats_are_in_the_help(bench: Command) -> None:
    shown = bench("export", "--help").stdout
    assert [name for name in FORMATS if f"{name}:" not in shown] == []
