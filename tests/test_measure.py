"""A suite measured from Python."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness

TESTS = Path(__file__).parent

SUITE = """
title = "One that runs out of memory, and what comes after it"
[problem]
name = "linear"
dim = 3
n = 5
[[estimator]]
name = "faulty"
label = "greedy"
fault = "allocation"
[[estimator]]
name = "faulty"
label = "modest"
fault = ""
[grid]
steps = [1, 2]
[measure]
passes = ["memory"]
"""

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import faults, harness
harness.run(sys.argv[2], out=sys.argv[3], device="cpu", threads=1, plugins=["faults"], **eval(sys.argv[4]))
"""


def statuses(
    tmp_path: Path, text: str = SUITE, enter: Callable[[], object] | None = None, **options: object
) -> list[tuple[str, int, str, str | None]]:
    """Of the lines a run adds: label, K, status and reason. Its process calls ``enter`` before anything else."""
    suite, out = tmp_path / "greedy.toml", tmp_path / "out"
    suite.write_text(text)
    lines = out / "measurements.jsonl"
    before = len(lines.read_text().splitlines()) if lines.exists() else 0
    command = [sys.executable, "-c", RUN, TESTS, suite, out, repr(options)]
    subprocess.run(command, check=True, timeout=300, preexec_fn=enter)
    added = [json.loads(line) for line in lines.read_text().splitlines()[before:]]
    return [(each["cell"]["label"], each["cell"]["steps"], each["status"], each["reason"]) for each in added]


def test_after_an_oom_larger_cells_of_its_kind_are_skipped_and_that_is_remembered(tmp_path: Path) -> None:
    first = statuses(tmp_path, skip="oom")
    assert [(label, k, status) for label, k, status, _ in first] == [
        ("greedy", 1, "oom"),
        ("modest", 1, "ok"),
        ("greedy", 2, "skipped"),
        ("modest", 2, "ok"),
    ]
    assert first[2][3] == "ran out of memory at K = 1 already"
    assert statuses(tmp_path, steps=[2], skip="oom") == [("greedy", 2, "skipped", "ran out of memory at K = 1 already")]
    [told_not_to] = statuses(tmp_path, steps=[2], skip="never")
    assert told_not_to[:3] == ("greedy", 2, "oom")


def test_a_run_says_what_it_ran_on(tmp_path: Path) -> None:
    suite = tmp_path / "small.toml"
    suite.write_text(
        SUITE.replace("faulty", "maml").replace('fault = "allocation"', "lam = 0.5").replace('fault = ""', "")
    )
    run = harness.run(suite, out=tmp_path / "out", device="cpu", threads=1, steps=[1], estimators=["modest"])
    manifest = run.manifest
    assert manifest.software["torch"] == manifest.machine.torch
    assert {"numpy", "pydantic"} <= manifest.software.keys()
    assert manifest.settings["matmul_tf32"] == "false"
    assert run.measurements[0].metrics["peak_bytes"] == run.measurements[0].metrics["forecast_peak_bytes"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 1}, "steps: 1 is not a list"),
        ({"steps": "1,2"}, "steps: '1,2' is not a list"),
        ({"estimators": "maml"}, "estimators: 'maml' is not a list"),
        ({"plugins": "faults"}, "plugins: 'faults' is not a list"),
        ({"suite": {"title": "ci"}}, "suite: a dict is neither the name of a suite nor a path"),
        ({"plugins": ["no_such_module"]}, "plugin 'no_such_module': cannot be imported: ModuleNotFoundError: No mod"),
    ],
)
def test_arguments_of_another_kind_are_bad_input(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"suite": "ci", "out": tmp_path / "out", "device": "cpu"}
    with pytest.raises(harness.BadInput) as caught:
        harness.run(**usual | arguments)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "out").exists()


@pytest.fixture(autouse=True)
def _no_torch_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
