import json
import subprocess
from collections.abc import Callable

import pytest

import harness.doctor
from harness.doctor import Examination, Finding, Quantity

Command = Callable[..., subprocess.CompletedProcess[str]]

QUANTITIES = (
    Quantity("time by the host's clock", ("wall_seconds",), None, "the clock steps by 40 ns"),
    Quantity("energy", ("energy_joules",), "the device is a CPU and what is drawn by a CPU nobody here can read"),
)
PASSED = Finding("FLOPs: convolution", "43,740 FLOP", "43,740 FLOP", "pass")
UNAVAILABLE = Finding.unavailable("energy of calls that only wait", "0 J", "the device is a CPU")
FAILED = Finding.exact("peak: tensors nested", 1_200_010, 1_200_011, "B")
TIMED = ("delay", "compare")
"""Beginnings of the names of the checks that a busy machine may turn."""


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the next examination finds."""
    findings = [PASSED, UNAVAILABLE]
    monkeypatch.setattr(
        harness.doctor, "examine", lambda device, runs: Examination(device, "a CPU", QUANTITIES, tuple(findings))
    )
    return findings


def test_a_real_examination_on_the_cpu(bench: Command) -> None:
    done = bench("doctor", "--device", "cpu", "--runs", 6, "--json")
    report = json.loads(done.stdout)
    failed = [each["name"] for each in report["findings"] if each["verdict"] == "fail"]
    assert [name for name in failed if not name.startswith(TIMED)] == []
    assert done.returncode == bool(failed)
    assert report["passed"] is not bool(failed)
    assert (report["device"], done.stderr) == ("cpu", "")
    verdicts = {each["name"]: each["verdict"] for each in report["findings"]}
    assert {name.split(":")[0] for name in verdicts} >= {"peak", "leak", "FLOPs", "a cell measured twice"}
    assert verdicts["forecast peak of a conv4 cell"] == verdicts["a cell measured twice"] == "pass"
    assert verdicts["delay by CUDA events"] == verdicts["energy of calls that only wait"] == "unavailable"
    assert sum(name.startswith(TIMED) for name in verdicts) == 7


def test_the_tables_read_well_in_a_pipe(bench: Command, found: list[Finding]) -> None:
    done = bench("doctor", "--device", "cpu")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "time by the host's clock yes the clock steps by 40 ns" in lines
    assert "energy no the device is a CPU and what is drawn by a" in lines
    assert "FLOPs: convolution pass 43,740 FLOP, as expected" in lines
    assert "energy of calls that only wait unavailable the device is a CPU" in lines
    assert lines[-1] == "1 passed, 0 failed, 1 unavailable"


def test_a_failure_is_exit_code_1(bench: Command, found: list[Finding]) -> None:
    found.append(FAILED)
    done = bench("doctor")
    assert done.returncode == 1
    assert " fail " in done.stdout
    assert "off by +1 B" in done.stdout
    assert json.loads(bench("doctor", "--json").stdout)["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--device", "cdua"], "unknown device 'cdua': did you mean 'cuda'"), (["--runs", 0], "--runs")],
)
def test_bad_input_is_exit_code_2(bench: Command, arguments: list[object], message: str) -> None:
    done = bench("doctor", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
