"""``imaml-bench frontier`` and ``plan --memory``."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_frontier_says_how_far_each_estimator_goes(bench: Command, suite: Path) -> None:
    done = bench("frontier", suite, "--budget", "100 kB", "--threads", 1)
    assert (done.returncode, done.stderr) == (0, "")
    head, maml, implicit = done.stdout.splitlines()
    assert head == "within 100 kB on cpu, θ and the tasks' data included:"
    assert re.fullmatch(
        r"MAML, linear: K ≤ [\d,]+ with 4 parameters \(dim = 4, n = 8\); "
        r"\d+ parameters \(dim = \d+, n = \d+\) at K = 4",
        maml,
    )
    assert implicit.startswith("iMAML, linear: any K with 4 parameters (dim = 4, n = 8); ")


def test_frontier_in_json(bench: Command, suite: Path) -> None:
    done = bench("frontier", suite, "--budget", "1e5", "--estimator", "maml", "--json", "--confirm")
    [found] = map(json.loads, done.stdout.splitlines())
    assert found["cell"]["label"] == "MAML"
    assert found["steps"] == found["confirmed_steps"] > 4
    assert found["any_steps"] is False


def test_plan_forecasts_for_a_device_that_is_not_there(bench: Command, suite: Path) -> None:
    done = bench("plan", suite, "--memory", "--device", "cuda:3", "--steps", "1,2")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert all(re.search(r"cuda:3  peak [\d.]+ k?B \+$", line) for line in lines[:4])
    assert lines[4] == "4 cells"
    assert lines[5] == "+: and what kernels take while they run, which only the device itself could tell"


def test_plan_marks_what_will_not_fit(bench: Command, suite: Path) -> None:
    suite.write_text(
        suite.read_text().replace('name = "linear"\ndim = 4\nn = 8', 'name = "mlp"\nwidth = 512\ndepth = 4')
    )
    suite.write_text(re.sub("passes = .*\nreferences = .*", 'passes = ["memory"]', suite.read_text()))
    done = bench("plan", suite, "--memory", "--device", "cpu", "--steps", "1000000")
    maml, implicit, *_ = done.stdout.splitlines()
    assert maml.endswith("TB, more than is free")
    assert not implicit.endswith("more than is free")
    assert re.search(r"[GT]B are free on cpu$", done.stdout.strip())


def test_plan_in_json_has_the_forecast(bench: Command, suite: Path) -> None:
    done = bench("plan", suite, "--memory", "--json", "--steps", "2", "--estimator", "maml")
    [cell] = map(json.loads, done.stdout.splitlines())
    assert cell["forecast_peak_bytes"] > 0
    assert cell["forecast_reason"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "80 GX"], "--budget: '80 GX' is not a size in bytes"),
        (["--budget", "8 PB"], "--budget: '8 PB' is not a size in bytes"),
        (["--budget", "80GB", "--device", "tpu"], "unknown device 'tpu'"),
        (["--budget", "80TB", "--confirm"], "--confirm: 80TB are more than the "),
    ],
)
def test_bad_input_is_one_line(bench: Command, suite: Path, arguments: list[str], message: str) -> None:
    done = bench("frontier", suite, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
