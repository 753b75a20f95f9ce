import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark import cli
from pytest_benchmark.logger import Logger
from pytest_benchmark.storage.file import FileStorage

from harness.cell import Measurement, Status
from harness.errors import BadInput
from harness.exports import export
from harness.exports.document import Document
from tests.exports.hostile import LABELS
from tests.report.synthetic import MACHINE, measurement, run

TIMES = [0.3, 0.1, 0.2, 0.4]
TIMED = measurement("iMAML", 4, estimator="imaml-cg", metrics={"wall_seconds": TIMES, "peak_bytes": [77e6]})


def exported(*cells: Measurement, **manifest: Any) -> Document:
    return export([run(cells, **manifest)], "pytest-benchmark")


def content(document: Document) -> dict[str, Any]:
    return json.loads(document.content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_wall_times_are_the_samples_and_the_rest_extra() -> None:
    document = exported(TIMED)
    [benchmark] = content(document)["benchmarks"]
    assert document.notices == []
    assert benchmark["stats"]["data"] == TIMES
    assert (benchmark["stats"]["median"], benchmark["stats"]["rounds"]) == (0.25, 4)
    assert benchmark["stats"]["iterations"] == 1
    assert benchmark["extra_info"] == {"key": TIMED.key, "notes": {}, "peak_bytes": 77e6}
    assert benchmark["name"] == "fig2b: iMAML, K = 4"
    assert (benchmark["params"]["estimator"], benchmark["params"]["steps"]) == ("imaml-cg", 4)


def test_machine_and_commit_are_those_of_the_run() -> None:
    found = content(exported(TIMED, git_revision="abc", git_dirty=True))
    assert found["machine_info"]["cpu"] == {"brand_raw": "Some CPU", "count": 2}
    assert (found["machine_info"]["system"], found["machine_info"]["machine"]) == ("Linux", "6.1")
    assert (found["commit_info"]["id"], found["commit_info"]["dirty"]) == ("abc", True)
    assert content(exported(TIMED))["commit_info"]["id"] == "unversioned"


def test_pytest_benchmark_loads_it(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(exported(TIMED, measurement("MAML", 4, metrics={"wall_seconds": [0.5]})).content)
    benchmarks = list(FileStorage(tmp_path, Logger(Logger.QUIET)).load_benchmarks(str(file)))
    assert [(each["name"], each["mean"]) for each in benchmarks] == [
        ("fig2b: iMAML, K = 4", 0.25),
        ("fig2b: MAML, K = 4", 0.5),
    ]


def compare(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["pytest-benchmark", "--storage", str(folder / "storage"), "compare", *arguments])
    cli.main()


@pytest.mark.parametrize("label", ["iMAML", *LABELS])
def test_pytest_benchmark_compares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], label: str
) -> None:
    for name in ("base", "head"):
        cells = [measurement(label, k, metrics={"wall_seconds": [0.1 * k, 0.2 * k]}) for k in (1, 2)]
        (tmp_path / f"{name}.json").write_bytes(exported(*cells).content)
    compare(monkeypatch, tmp_path, "base.json", "head.json")
    out = capsys.readouterr().out
    assert out.count("K = 2") == 2
    assert "\x1b[31mred" not in out
    compare(monkeypatch, tmp_path, "base.json", "head.json", "--between", "median")
    assert "ERROR" not in capsys.readouterr().out


def test_failed_and_untimed_cells_are_left_out_and_told() -> None:
    cells = [
        TIMED,
        measurement(steps=2, status=Status.OOM, metrics={"wall_seconds": [0.1]}),
        measurement(steps=3, status=Status.OOM),
        measurement(steps=5),
        measurement(steps=6, metrics={"wall_seconds": [0.1, float("nan")]}),
    ]
    document = exported(*cells)
    assert [each["params"]["steps"] for each in content(document)["benchmarks"]] == [4]
    assert document.notices == ["4 of 5 cells left out: 2 oom, 2 without finite wall_seconds"]


def test_what_is_not_finite_is_null() -> None:
    metrics = {"wall_seconds": [0.1], "query_loss": [float("nan")], "aura": [float("inf")]}
    [benchmark] = content(exported(measurement(metrics=metrics)))["benchmarks"]
    assert (benchmark["extra_info"]["query_loss"], benchmark["extra_info"]["aura"]) == (None, None)


def test_nothing_in_it_closes_a_script() -> None:
    for label in LABELS:
        text = exported(measurement(label, metrics={"wall_seconds": [0.1]})).content
        assert b"<" not in text
        assert text.isascii()
        assert json.loads(text)["benchmarks"][0]["params"]["label"] == label


@pytest.mark.parametrize(
    "other",
    [{"machine": MACHINE.model_copy(update={"threads": 2})}, {"git_revision": "def"}],
    ids=["machine", "commit"],
)
def test_runs_of_two_machines_or_commits_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="one machine and one git revision"):
        export([run([TIMED]), run([TIMED], **other)], "pytest-benchmark")
    both = export([run([TIMED], path="a"), run([TIMED], path="b")], "pytest-benchmark")
    assert len(content(both)["benchmarks"]) == 2
