"""``make reference``, on what a test has time for."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.store import load_run

ROOT = Path(__file__).parents[1]
SIZE_BYTES = 10 * 2**20
"""Of a report that is to live in git."""


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = [f"VENV={sys.prefix}", "-o", f"{sys.prefix}/installed"]
    command = ["make", "reference", *environment, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def name_of_this_machine() -> str:
    command = [sys.executable, "-m", "harness.machine", "cpu"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def of_one_cell(tmp_path: Path, run: str) -> list[str]:
    folders = [f"RUNS={tmp_path / 'runs'}", f"REPORTS={tmp_path / 'reports'}"]
    return ["DEVICE=cpu", "REFERENCE_SUITES=ci", f"RUN_ci={run}", *folders]


def test_a_report_of_this_machine_lies_beside_its_raw_run(tmp_path: Path) -> None:
    done = make(*of_one_cell(tmp_path, "--steps 1 --estimator maml --repeat 2"))
    assert done.returncode == 0, done.stderr
    [folder] = (tmp_path / "reports").iterdir()
    assert folder.name == name_of_this_machine()
    run = load_run(folder / "ci")
    assert [(each.cell.estimator.name, each.repeat, each.status) for each in run.processes] == [
        ("maml", 0, "ok"),
        ("maml", 1, "ok"),
    ]
    assert {"index.html", "table.md", "table.csv"} < {path.name for path in folder.iterdir()}
    assert "MAML" in (folder / "table.md").read_text()


def test_bad_input_ends_it_and_leaves_the_published_report_alone(tmp_path: Path) -> None:
    published = tmp_path / "reports" / name_of_this_machine()
    published.mkdir(parents=True)
    done = make(*of_one_cell(tmp_path, "--estimator nobody"))
    assert done.returncode == 2
    assert "unknown estimator of suite 'ci' 'nobody'" in done.stderr
    assert list(published.iterdir()) == []


@pytest.mark.parametrize(("device", "count"), [("cpu", 0), ("cuda", 2), ("cuda:1", 2)])
def test_memory_is_let_run_out_on_a_gpu_alone(device: str, count: int) -> None:
    recipe = make("-n", f"DEVICE={device}").stdout
    assert "measure fig2b --repeat 3" in recipe
    assert recipe.count("--skip oom") == count


@pytest.mark.parametrize(
    "report", [path for path in (ROOT / "reports").iterdir() if path.is_dir()], ids=lambda p: p.name
)
def test_a_published_report_is_small_enough_for_git(report: Path) -> None:
    assert sum(path.stat().st_size for path in report.rglob("*") if path.is_file()) < SIZE_BYTES
