"""What goes wrong in a user's part is said in one line; what goes wrong in the harness keeps its traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.executors import LocalExecutor
from harness.registry import ESTIMATORS, PROBLEMS
from harness.store import load_run

Command = Callable[..., subprocess.CompletedProcess[str]]

MODULE = """
import os
from dataclasses import dataclass

import torch

from harness.bilevel import Task
from harness.estimators.first_order import Fomaml


@dataclass(frozen=True)
class Quad:
    fault: str = ""
    dtype: str = "float64"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self):
        if self.fault == "init":
            raise RuntimeError("not today" + chr(10) + "nor tomorrow")

    def theta(self):
        if self.fault == "theta":
            return torch.zeros(3)
        if self.fault == "empty":
            return {}
        return {"w": torch.zeros(3, dtype=torch.float64)}

    def inner_loss(self, params, support):
        if self.fault == "exit":
            os._exit(7)
        if self.fault == "loss":
            return support.no_such_attribute
        return (params["w"] - support).square().sum()

    def outer_loss(self, params, query):
        return self.inner_loss(params, query)

    def tasks(self, n, seed):
        match self.fault:
            case "tasks":
                raise ValueError("no data")
            case "none":
                return None
            case "exit at once":
                os._exit(7)
        return [Task(torch.ones(3).double(), torch.ones(3).double())] * n


def plain(dim: int = 3):
    return Quad()


def free(**parameters):
    return Quad(**parameters)


class Fragile(Fomaml):
    def estimate(self, objective, lr):
        os._exit(7)


class Mine(Fomaml):
    def __post_init__(self):
        raise ValueError("never")
"""


def line(text: str) -> int:
    """Its number in the module."""
    return 1 + [each.strip() for each in MODULE.splitlines()].index(text)


LINE = line('raise ValueError("no data")')
NEVER = line('raise ValueError("never")')
INIT = line('raise RuntimeError("not today" + chr(10) + "nor tomorrow")')

ENTRY_POINTS = """
[imaml_bench.problems]
my-quad = my_quad:Quad
plain = my_quad:plain
free = my_quad:free
absent = my_quad:Nothing
unparsable = my_unparsable:Quad
lacking = my_lacking:Quad
[imaml_bench.estimators]
mine = my_quad:Mine
fragile = my_quad:Fragile
exiting = my_exiting:Mine
"""

SUITE = """
title = "A part of my own"
[problem]
name = "{problem}"
{parameter}
[[estimator]]
name = "{estimator}"
[grid]
steps = [1, 2]
dtype = "float64"
[measure]
passes = ["memory"]
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_quad.py").write_text(MODULE)
    (tmp_path / "my_unparsable.py").write_text("def Quad(:\n")
    (tmp_path / "my_lacking.py").write_text("import no_such_library\n")
    (tmp_path / "my_exiting.py").write_text("import os\nos._exit(3)\n")
    info = tmp_path / "my_quad-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-quad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    for registry in (PROBLEMS, ESTIMATORS):
        monkeypatch.setattr(registry, "_targets", dict(vars(registry)["_targets"]))
    for module in ("my_quad", "my_unparsable", "my_lacking"):
        monkeypatch.delitem(sys.modules, module, raising=False)


def suite(tmp_path: Path, problem: str = "my-quad", fault: str = "", estimator: str = "maml") -> str:
    parameter = f'fault = "{fault}"' if fault else ""
    (tmp_path / "suite.toml").write_text(SUITE.format(problem=problem, parameter=parameter, estimator=estimator))
    return "suite.toml"


def test_parts_without_a_fault_are_measured(bench: Command, tmp_path: Path) -> None:
    for problem in ("my-quad", "free"):
        assert bench("run", suite(tmp_path, problem), "--out", problem).returncode == 0


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"fault": "tasks"}, f"problem 'my-quad': tasks() raised ValueError: no data (my_quad.py, line {LINE})"),
        ({"fault": "theta"}, "problem 'my-quad': theta() returned a Tensor, not a dict of tensors by parameter name"),
        ({"fault": "empty"}, "problem 'my-quad': theta() returned an empty dict: there is nothing to learn"),
        ({"fault": "none"}, "problem 'my-quad': tasks(1, 0) returned None, not a list of 1 Task"),
        ({"fault": "init"}, f"problem 'my-quad': making it raised RuntimeError: not today (my_quad.py, line {INIT})"),
        ({"fault": "exit at once"}, "harness.worker:resolved: the worker exited with code 7 before it finished"),
        (
            {"problem": "absent"},
            "problem 'absent': cannot import its entry point my_quad:Nothing: "
            "AttributeError: module 'my_quad' has no attribute 'Nothing'",
        ),
        (
            {"problem": "unparsable"},
            "problem 'unparsable': cannot import its entry point my_unparsable:Quad: "
            "SyntaxError: invalid syntax (my_unparsable.py, line 1)",
        ),
        (
            {"problem": "lacking"},
            "problem 'lacking': cannot import its entry point my_lacking:Quad: "
            "ModuleNotFoundError: No module named 'no_such_library'",
        ),
        (
            {"problem": "plain"},
            "problem 'plain': a problem must take dtype, device and seed; dtype, device, seed not taken",
        ),
        (
            {"estimator": "exiting"},
            "harness.worker:resolved: importing entry point my_exiting:Mine of estimator 'exiting': "
            "the worker exited with code 3 before it finished",
        ),
        ({"estimator": "mine"}, f"estimator 'mine': making it raised ValueError: never (my_quad.py, line {NEVER})"),
    ],
)
def test_a_fault_of_a_users_part_is_one_line(
    bench: Command, tmp_path: Path, part: dict[str, str], message: str
) -> None:
    done = bench("run", suite(tmp_path, **part), "--out", "out")
    assert (done.returncode, done.stderr) == (2, f"imaml-bench: suite.toml: {message}\n")
    assert not (tmp_path / "out").exists()


def test_a_worker_that_dies_in_the_forecast_leaves_the_run_going(bench: Command, tmp_path: Path) -> None:
    done = bench("run", suite(tmp_path, fault="exit"), "--out", "out")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    reason = "the worker exited with code 7 before it finished"
    for each in load_run(tmp_path / "out").measurements:
        assert each.reason == reason
        assert each.notes["forecast_peak_bytes"] == f"harness.forecast:forecast: {reason}"


def test_a_worker_that_dies_in_the_forecast_takes_no_other_forecast_down(bench: Command, tmp_path: Path) -> None:
    name = suite(tmp_path, estimator="fragile")
    more = '[[estimator]]\nname = "fomaml"\n[[estimator]]\nname = "reptile"\n[grid]'
    (tmp_path / name).write_text((tmp_path / name).read_text().replace("[grid]", more))
    why = "harness.forecast:forecast: the worker exited with code 7 before it finished"
    done = bench("plan", name, "--memory", "--device", "cpu")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.endswith(f"peak not forecast: {why}") for line in lines[:6]] == [True, True] + [False] * 4
    assert all(" peak " in line for line in lines[2:6])
    done = bench("run", name, "--out", "out", "--device", "cpu")
    assert done.stdout.splitlines()[0] == f"note: no forecast of the memory of fragile on my-quad at K = 1, 2: {why}"
    for each in load_run(tmp_path / "out").measurements:
        lost = each.cell.estimator.name == "fragile"
        assert ("forecast_peak_bytes" in each.metrics) is not lost
        assert each.notes.get("forecast_peak_bytes") == (why if lost else None)
    done = bench("frontier", name, "--budget", "1MB", "--device", "cpu")
    assert done.returncode == 0
    _, fragile, *others = done.stdout.splitlines()
    assert fragile.endswith("not forecast: harness.frontier:explore: the worker exited with code 7 before it finished")
    assert [" K " in line for line in others] == [True, True]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("tasks", f"problem 'my-quad': tasks() raised ValueError: no data (my_quad.py, line {LINE})"),
        ("loss", "inner_loss raised AttributeError: 'Tensor' object has no attribute 'no_such_attribute' (my_quad.py,"),
    ],
)
def test_validate_says_so_too(bench: Command, fault: str, message: str) -> None:
    done = bench("validate", "imaml-dense", "--problem", "my-quad", "--lam", 1, "--steps", 2, "--set", f"fault={fault}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"imaml-bench: {message}")
    assert done.stderr.count("\n") == 1


def test_an_error_of_the_harness_keeps_its_traceback_and_has_a_code_of_its_own(
    bench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(self: LocalExecutor, function: str, *arguments: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(LocalExecutor, "ask", ask)
    done = bench("run", suite(tmp_path))
    assert done.returncode == 70
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2:] == [
        "ZeroDivisionError: of ours",
        "imaml-bench: this is an error of imaml-bench itself; please report it",
    ]
