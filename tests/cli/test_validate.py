import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.validate import parse_settings
from harness.errors import BadInput

Command = Callable[..., subprocess.CompletedProcess[str]]

MODULE = """
import harness

print("imported")
settings = {"steps": 60, "lr": 0.6, "lam": 0.5, "cg_steps": 20}
estimator = harness.estimator("imaml-cg", **settings)


def right(problem, task, theta):
    print("called")
    return estimator.meta_gradient(problem, task, theta).grad


def wrong(problem, task, theta):
    return {name: -tensor for name, tensor in right(problem, task, theta).items()}


class Holder:
    right = staticmethod(right)
"""
SIZE = ("--set", "dim=8", "--set", "n=16")


@pytest.fixture(autouse=True)
def _my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_module.py").write_text(MODULE)
    (tmp_path / "my_broken_module.py").write_text("raise ValueError('not today\\nnor tomorrow')")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_own_module", raising=False)


def test_a_right_function_passes(bench: Command) -> None:
    done = bench("validate", "my_own_module:right", "--lam", 0.5, "--steps", 60, "--lr", 0.6, *SIZE)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if line not in ("imported", "called")]
    assert lines[0] == "right on linear(dim=8, n=16), float64, against the implicit reference: passed"
    assert lines[1] == "lam = 0.5, steps = 60, lr = 0.6; relative error allowed: 1e-06"


def test_a_wrong_one_fails_with_its_likely_cause(bench: Command, tmp_path: Path) -> None:
    done = bench("validate", "my_own_module:wrong", "--lam", 0.5, "--seeds", 2, "--json", "--out", "it.json", *SIZE)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "it.json").read_text())
    assert (report["passed"], report["cause"]["kind"], len(report["draws"])) == (False, "sign", 2)
    assert "called" in done.stderr


def test_an_attribute_an_estimator_and_an_estimators_name(bench: Command) -> None:
    told = ("--lam", 0.5, "--steps", 40, "--lr", "auto")
    assert bench("validate", "my_own_module:Holder.right", "--lam", 0.5, *SIZE).returncode == 0
    assert bench("validate", "my_own_module:estimator", *SIZE).returncode == 0
    done = bench("validate", "imaml-cg", *told, "--set", "cg_steps=2", "--inner", "nesterov", *SIZE)
    assert done.returncode == 1
    assert "likely cause: CG has not converged: it matches 2 CG steps" in done.stdout
    assert bench("validate", "maml", *told, "--vs", "backprop", *SIZE).returncode == 0


def test_a_tolerance_and_another_problem(bench: Command) -> None:
    told = ("--problem", "sinusoid", "--set", "activation=tanh", "--set", "hidden=[4, 4]", "--lam", 20)
    words = ("validate", "imaml-dense", *told, "--steps", 10, "--lr", 0.02, "--seeds", 1)
    assert bench(*words).returncode == 1
    assert bench(*words, "--tol", 0.1).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["no_such_module:right"],
            "no_such_module:right: cannot import 'no_such_module': ModuleNotFoundError: No module",
        ),
        (["my_broken_module:right"], "my_broken_module:right: cannot import 'my_broken_module': ValueError: not today"),
        (["my_own_module:rigth"], "my_own_module:rigth: unknown name 'rigth': did you mean 'right'"),
        (["my_own_module.py:right"], "my_own_module.py:right: name the module, not its file: my_own_module:right"),
        (
            ["my_own_module:settings"],
            "imaml-bench: my_own_module:settings is neither a function, nor an estimator, nor",
        ),
        (["my_own_module:Holder"], "imaml-bench: my_own_module:Holder is neither a function"),
        (["mmal"], "unknown estimator 'mmal': did you mean 'maml'"),
        (["my_own_module:right"], "lam: needed against 'implicit'"),
        (["my_own_module:right", "--vs", "exact"], "unknown reference 'exact'"),
        (["my_own_module:right", "--lr", "fast"], "--lr fast: neither a number nor 'auto'"),
        (["my_own_module:right", "--set", "dim"], "--set dim: not of the form key=value"),
        (["my_own_module:right", "--set", "dim=4", "--set", "dim=5"], "--set dim=5: dim is given twice"),
        (["my_own_module:right", "--set", "lam=4"], "--set lam: that is an option of its own, --lam"),
        (["my_own_module:right", "--lam", "1", "--out", "no/where.json"], "--out no/where.json: there is no folder no"),
        (["my_own_module:right", "--lam", "1", "--out", "."], "cannot write to .: Is a directory"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(bench: Command, arguments: list[str], message: str) -> None:
    done = bench("validate", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("imaml-bench: ")
    assert done.stderr.count("\n") == 1


def test_values_are_those_of_a_suite() -> None:
    parsed = parse_settings(["a=1", "b=1e-3", "c=true", "d=[1, 2]", "e=tanh", 'f="1"', "g=x=y"])
    assert parsed == {"a": 1, "b": 1e-3, "c": True, "d": [1, 2], "e": "tanh", "f": "1", "g": "x=y"}
    with pytest.raises(BadInput, match="--set =1: not of the form"):
        parse_settings(["=1"])
