"""Expectations as a user meets them: after a run, and with ``imaml-bench check``."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

EXPECT = """
[[expect]]
claim = "MAML is exact"
estimator = "maml"
metric = "backprop_relative_error"
max = 1e-10

[[expect]]
claim = "A product a step"
estimator = "maml"
metric = "hvp_count"
law = "linear"
"""

WRONG = """
[[expect]]
claim = "Work is free"
metric = "flops"
max = 1
"""


@pytest.fixture(autouse=True)
def _not_in_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def claiming(suite: Path) -> Path:
    suite.write_text(suite.read_text() + EXPECT)
    return suite


def rows(table: str) -> dict[str, str]:
    """Verdicts by claim."""
    cells = [[*re.split(r" {2,}", line), ""] for line in table.splitlines()]
    return {claim: verdict for verdict, claim, *_ in cells if verdict in ("pass", "fail", "not tested")}


def on_any_machine(stdout: str) -> list[str]:
    """The lines, without the one that says that the machine was busy."""
    return [line for line in stdout.splitlines() if "were timed while other processes" not in line]


def test_run_ends_with_the_verdicts(bench: Command, claiming: Path, tmp_path: Path) -> None:
    done = bench("run", claiming, "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    *lines, count, last = on_any_machine(done.stdout)
    assert rows("\n".join(lines)) == {"MAML is exact": "pass", "A product a step": "pass"}
    assert count == "2 of 2 claims hold"
    assert last.startswith("6 of 6 cells measured")
    stored = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [each["claim"] for each in stored["expectations"]] == ["MAML is exact", "A product a step"]
    done = bench("check", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*lines[6:], count]


def test_a_failed_expectation_exits_with_1(bench: Command, claiming: Path) -> None:
    claiming.write_text(claiming.read_text() + WRONG)
    done = bench("run", claiming, "--out", "out", "--steps", "1,2,4")
    assert done.returncode == 1
    assert "2 of 3 claims hold, 1 fails" in done.stdout
    done = bench("run", claiming, "--out", "out", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("imaml-bench: expectation failed: Work is free: ")
    assert done.stderr.endswith("; expected: at most 1 FLOP\n")
    done = bench("check", "out", "--json")
    assert done.returncode == 1
    found = [json.loads(line)["expectation"] for line in done.stdout.splitlines()]
    assert [each["outcome"] for each in found] == ["pass", "pass", "fail"]
    assert found[2].keys() == {"claim", "bound", "outcome", "measured", "where", "value", "margin"}
    assert found[2]["margin"] == 1 - found[2]["value"] < 0
    done = bench("run", claiming, "--out", "out", "--json")
    assert [json.loads(line)["expectation"] for line in done.stdout.splitlines()] == found


def test_failed_cells_go_before_failed_expectations(bench: Command, claiming: Path) -> None:
    claiming.write_text(claiming.read_text().replace("lr = 0.5", "lr = 1e200"))
    done = bench("run", claiming, "--out", "out", "--estimator", "maml", "--steps", "1,2,4")
    assert done.returncode == 3
    assert rows(done.stdout) == {"MAML is exact": "fail", "A product a step": "fail"}
    assert bench("check", "out").returncode == 1


def test_what_a_partial_run_leaves_out_is_not_tested(bench: Command, claiming: Path) -> None:
    done = bench("run", claiming, "--out", "out", "--steps", "1,2")
    assert done.returncode == 0
    assert rows(done.stdout) == {"MAML is exact": "pass", "A product a step": "not tested"}
    done = bench("check", "out")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1 of 2 claims hold, 1 was not tested"
    assert bench("check", "out", "--strict").returncode == 1


def test_another_suites_expectations_and_junit(bench: Command, claiming: Path, tmp_path: Path) -> None:
    bench("run", claiming, "--out", "out", "--estimator", "maml", "--steps", "1")
    stricter = tmp_path / "stricter.toml"
    stricter.write_text(claiming.read_text() + WRONG)
    done = bench("check", "out", "--suite", stricter, "--junit", "verdicts.xml")
    assert done.returncode == 1
    assert rows(done.stdout)["Work is free"] == "fail"
    cases = ElementTree.parse(tmp_path / "verdicts.xml").findall("testsuite/testcase")
    assert [[child.tag for child in case] for case in cases] == [["system-out"], ["skipped"], ["failure"]]


def test_without_expectations_there_is_nothing_to_fail(bench: Command, suite: Path) -> None:
    done = bench("run", suite, "--out", "out", "--steps", "1")
    assert len(on_any_machine(done.stdout)) == 3
    done = bench("check", "out")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "note: the suite has no [[expect]] table: nothing was checked\n"
    assert bench("check", "out", "--strict").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["out", "--suite", "fig2c"], "unknown suite 'fig2c': did you mean 'fig2b'?"),
        (["out", "--junit", "no/where.xml"], "cannot write to no/where.xml: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(bench: Command, claiming: Path, arguments: list[str], message: str) -> None:
    bench("run", claiming, "--out", "out", "--steps", "1", "--estimator", "maml")
    done = bench("check", *arguments)
    assert (done.returncode, done.stderr) == (2, f"imaml-bench: {message}\n")


# In a GitHub workflow


def test_a_step_is_summarised_and_annotated(
    bench: Command, claiming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claiming.write_text(claiming.read_text() + WRONG)
    page = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    done = bench("run", claiming, "--out", "out", "--steps", "1,2,4")
    [error] = [line for line in done.stdout.splitlines() if line.startswith("::error")]
    assert error.startswith("::error title=Expectation failed%3A Work is free,file=small.toml::")
    written = page.read_text()
    assert written.startswith("## small: expectations\n\n2 of 3 claims hold, 1 fails.\n")
    assert "| estimator | inner steps K | peak memory | wall time |" in written
    assert "- Peak memory from K = 1 to 4: " in written
    done = bench("check", "out", "--json")
    assert all(json.loads(line) for line in done.stdout.splitlines())
    assert done.stderr.startswith("::error title=Expectation failed%3A Work is free::")
    assert page.read_text().removeprefix(written).startswith("## small: expectations\n")
    written = page.read_text()
    bench("report", "out")
    assert page.read_text().removeprefix(written).startswith("## small\n")


def test_labels_are_no_commands(bench: Command, claiming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "##[add-mask]x %0A::error::y"
    claiming.write_text(claiming.read_text().replace('label = "MAML"', f'label = "{hostile}"') + WRONG)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = bench("run", claiming, "--out", "out", "--steps", "1", "--estimator", "maml")
    stopped = None
    for line in done.stdout.splitlines():
        if line.startswith("::stop-commands::"):
            stopped = line.removeprefix("::stop-commands::")
        elif line == f"::{stopped}::":
            stopped = None
        elif hostile.split()[0] in line:
            assert stopped or line.startswith("::error title=")
            assert stopped or "%250A" in line
    assert stopped is None
    assert hostile in done.stdout
