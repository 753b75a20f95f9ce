import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_list_names_every_part(bench: Command) -> None:
    parts = json.loads(bench("list", "--json").stdout)
    assert {"ci", "fig2a", "fig2b"} <= set(parts["suite"])
    assert {"maml", "maml-replay", "fomaml", "imaml-cg"} <= set(parts["estimator"])
    assert {"linear", "conv4"} <= set(parts["problem"])
    text = bench("list").stdout
    assert all(name in text for names in parts.values() for name in names)


def test_plan_shows_the_cells_and_runs_nothing(bench: Command, suite: Path, tmp_path: Path) -> None:
    done = bench("plan", suite)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "6 cells"
    cells = [json.loads(line) for line in bench("plan", suite, "--json", "--steps", "8").stdout.splitlines()]
    assert [(cell["label"], cell["steps"]) for cell in cells] == [("MAML", 8), ("iMAML", 8)]
    assert {len(cell["key"]) for cell in cells} == {16}
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_plan_tells_cells_apart_by_the_parameters_of_the_problem_that_differ(bench: Command, suite: Path) -> None:
    suite.write_text(suite.read_text().replace("dim = 4\nn = 8", "dim = [4, 10]\nn = 20"))
    done = bench("plan", suite, "--steps", "2", "--estimator", "maml")
    *cells, count = done.stdout.splitlines()
    assert [line.split("  ", 1)[1] for line in cells] == [
        "K=2  MAML  linear (dim=4)   float64  cpu",
        "K=2  MAML  linear (dim=10)  float64  cpu",
    ]
    assert count == "2 cells"
    suite.write_text(suite.read_text().replace("dim = [4, 10]", "dim = 4"))
    lines = bench("plan", suite, "--steps", "2", "--estimator", "maml").stdout.splitlines()
    assert lines[0].endswith("K=2  MAML  linear  float64  cpu")
    assert lines[1] == "1 cell"


def test_report_says_where_the_page_is(bench: Command, suite: Path, tmp_path: Path) -> None:
    bench("run", suite, "--out", "out")
    done = bench("report", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out/report/index.html\n"
    names = {path.name for path in (tmp_path / "out" / "report").iterdir()}
    assert {"index.html", "table.csv", "table.md", "figure2a.png", "figure2a.svg", "figure2b.png"} <= names


@pytest.mark.parametrize("damage", ["missing", "empty", "no measurements", "manifest", "lines"])
def test_a_report_of_no_proper_run_is_one_line(bench: Command, suite: Path, tmp_path: Path, damage: str) -> None:
    run = tmp_path / "out"
    if damage == "empty":
        run.mkdir()
    elif damage != "missing":
        bench("run", suite, "--out", "out", "--steps", "1,2")
    if damage == "no measurements":
        (run / "measurements.jsonl").write_text("")
    elif damage == "manifest":
        (run / "manifest.json").write_text("{")
    elif damage == "lines":
        lines = (run / "measurements.jsonl").read_text().splitlines()
        (run / "measurements.jsonl").write_text("".join(f"{line[:50]}\n" for line in lines))
    done = bench("report", "out")
    assert done.returncode == 2
    assert done.stderr.startswith("imaml-bench: out")
    assert done.stderr.count("\n") == 1
    assert not (run / "report").exists()
    assert not (tmp_path / "report").exists()


def test_no_arguments_and_help_explain_the_exit_codes(bench: Command) -> None:
    assert "130 interrupted" in " ".join(bench("--help").stdout.split())
    assert bench("run", "--nonsense").returncode == 2
