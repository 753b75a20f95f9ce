import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import harness
from harness.cell import METRICS, Status
from harness.executors import LocalExecutor
from harness.store import load_run, open_run
from tests.compare.conftest import TIMER
from tests.report.synthetic import HOSTILE, MACHINE, measurement, run

Command = Callable[..., subprocess.CompletedProcess[str]]

PLANTED = """

_exact = agreement


def agreement(grad, reference):
    return _exact({name: 1.001 * tensor for name, tensor in grad.items()}, reference)
"""
"""An error of 1e-3 in every meta-gradient that is compared with a reference."""


def store(path: Path, *, planted: float = 1.0, **manifest: Any) -> None:
    """A run of two cells at ``path``."""
    cells = [
        measurement(HOSTILE, metrics={"flops": [5e6], "wall_seconds": [1.0, 1.0, 1.0]}),
        measurement("iMAML", 2, metrics={"flops": [planted * 7e6], "peak_bytes": [1e6]}),
    ]
    with open_run(path, run(cells, **manifest).manifest) as opened:
        for each in cells:
            opened.append(each)


@pytest.fixture(autouse=True)
def stored(tmp_path: Path) -> None:
    """A run, the same again, one that is worse and one of another machine."""
    store(tmp_path / "base")
    store(tmp_path / "same")
    store(tmp_path / "worse", planted=1.1)
    store(tmp_path / "elsewhere", machine=MACHINE.model_copy(update={"threads": 8}))


def test_the_same_passes(bench: Command) -> None:
    done = bench("compare", "base", "same")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "0 WORSE, 1 UNCLEAR, 0 BETTER, 5 SAME of 6 numbers of 2 cells"
    assert "SAME  " not in done.stdout
    assert done.stderr.splitlines() == ["base: the run base", "head: the run same"]
    assert bench("compare", "base", "same", "--all").stdout.count("SAME  ") == 5


def test_worse_fails(bench: Command) -> None:
    done = bench("compare", "base", "worse", "--metric", "flops")
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("WORSE")]
    assert [part.strip() for part in line.split("  ") if part.strip()] == [
        *("WORSE", "fig2b: iMAML, K = 2", "operations", "7 MFLOP", "7.700 MFLOP", "+10 %")
    ]
    assert bench("compare", "worse", "base").returncode == 0


def test_of_many_findings_the_gravest_are_printed(bench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.compare.MOST_SHOWN", 1)
    done = bench("compare", "base", "worse", "--all")
    assert [line.split()[0] for line in done.stdout.splitlines() if line[:4] in ("WORS", "UNCL", "SAME")] == ["WORSE"]
    assert "note: 5 more findings, of no graver verdicts; --json and --markdown have all" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 WORSE, 1 UNCLEAR, 0 BETTER, 4 SAME of 6 numbers of 2 cells"


def test_json_markdown_and_junit(bench: Command, tmp_path: Path) -> None:
    done = bench("compare", "base", "worse", "--json", "--markdown", "out.md", "--junit", "out.xml")
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert content["passed"] is False
    assert content["counts"] == {"same": 4, "better": 0, "worse": 1, "unclear": 1}
    assert ElementTree.parse(tmp_path / "out.xml").getroot().get("failures") == "1"
    text = (tmp_path / "out.md").read_text()
    assert text.startswith("**WORSE**")
    assert "<script>" not in text


def test_another_machine_takes_force(bench: Command) -> None:
    refused = bench("compare", "base", "elsewhere")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[-1] == (
        "imaml-bench: base and elsewhere are not of one machine (threads: 1 and 8); see --force"
    )
    forced = bench("compare", "base", "elsewhere", "--force")
    assert forced.returncode == 0
    assert "note: different machines, so times are not judged: threads: 1 and 8" in forced.stdout


def test_a_failed_cell_is_worse(bench: Command, tmp_path: Path) -> None:
    cell = measurement("iMAML", 2, status=Status.OOM, reason="no\x1b[31m memory")
    with open_run(tmp_path / "failed", run([cell]).manifest) as opened:
        opened.append(cell)
    done = bench("compare", "base", "failed")
    assert done.returncode == 1
    assert r"ok before, oom now: no\x1b[31m memory" in done.stdout
    assert "missing in head" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["base", "nowhere"], "HEAD: nowhere: neither a run nor a revision of the repository around this folder"),
        (
            ["empty", "base"],
            "BASE: empty: a folder without a run, and no git revision of the repository around this folder",
        ),
        (
            ["base", "same", "--suite", "ci"],
            "--suite is for measuring two git revisions; base and same are runs already",
        ),
        (["base", "same", "--steps", "x"], "--steps: 'x' is not a positive whole number; write them as in 1,2,4"),
        (["base", "same", "--metric", "flop"], "unknown metric to judge 'flop': did you mean 'flops'?"),
        *(
            (
                ["base", "same", "--detect", share],
                f"--detect: '{share}' is no share between 1% and 100%; write it as in 10% or 0.1",
            )
            for share in ("ten", "", "%", "0", "0%", "-10%", "10", "101%", "0.5%", "nan", "inf", "1e-9", "10%%")
        ),
        (
            ["base", "same", "--confirm"],
            "--confirm: base does not say of which git revision it is; compare two revisions by name, or . for the "
            "working tree",
        ),
        (
            ["base", "same", "--confirm", "--suite", "ci"],
            "--suite is for measuring two git revisions; base and same are runs already",
        ),
        (
            ["base", "v9", "--confirm"],
            "HEAD: v9: neither a run nor a revision of the repository around this folder",
        ),
        (["base", "same", "--junit", "no/file"], "cannot write to no/file: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(bench: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    done = bench("compare", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line for line in done.stderr.splitlines() if not line.startswith(("base: ", "head: "))] == [
        f"imaml-bench: {message}"
    ]


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=True)


def commit(folder: Path, name: str) -> None:
    git(folder, "add", "--force", "harness")
    git(folder, "commit", "--quiet", "--message", name)
    git(folder, "tag", name)


@pytest.fixture
def revisions(tmp_path: Path) -> None:
    """A repository of this harness, tagged v1, and of one that errs by 1e-3, v2."""
    source = Path(harness.__file__).parent
    shutil.copytree(source, tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "v1")
    with (tmp_path / "harness" / "meters" / "accuracy.py").open("a") as file:
        file.write(PLANTED)
    commit(tmp_path, "v2")


@pytest.mark.usefixtures("revisions")
def test_two_revisions_are_measured_here(bench: Command, suite: Path, tmp_path: Path) -> None:
    options = ["--suite", suite, "--repeat", "1", "--steps", "1,2", "--estimator", "MAML", "--threads", "1"]
    done = bench("compare", "v1", "v2", *options, "--out", "out", "--json")
    assert done.returncode == 1, done.stderr
    content = json.loads(done.stdout)
    worse = {(each["metric"], each["cell"]) for each in content["findings"] if each["verdict"] == "worse"}
    errors = {each["cell"]: each["head"] for each in content["findings"] if each["metric"] == "backprop_relative_error"}
    assert errors == pytest.approx({"small: MAML, K = 1": 1e-3, "small: MAML, K = 2": 1e-3})
    assert worse >= {("backprop_relative_error", cell) for cell in errors}
    untimed = {metric for metric, _ in worse if METRICS[metric].unit != "s"}  # a busy machine may well have been slower
    assert untimed <= {"backprop_relative_error", "implicit_relative_error"}
    assert content["base"]["git_revision"] != content["head"]["git_revision"]
    assert done.stderr.startswith("base: git revision v1 (")
    assert "turn 1 of 1: MAML, base (v1)\nturn 1 of 1: MAML, head (v2)\n" in done.stderr
    assert bench("compare", "out/base", "out/base", "--metric", "flops").returncode == 0
    listed = subprocess.run(["git", "worktree", "list"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


def test_a_time_that_is_unclear_says_what_would_decide_it(bench: Command) -> None:
    done = bench("compare", "base", "same", "--detect", "20 %")
    assert done.stdout.splitlines()[-2] == (
        "note: 1 time is unclear: to tell a slowdown of 20% takes up to 40 processes a side, in turn, which "
        "imaml-bench compare base same --confirm --detect 20% measures"
    )
    findings = json.loads(bench("compare", "base", "same", "--json").stdout)["findings"]
    [time] = [each for each in findings if each["remedy"]]
    assert (time["metric"], time["verdict"], time["processes_needed"]) == ("wall_seconds", "unclear", None)
    assert time["remedy"] == "--confirm measures until 10% is told, or 40 a side are not enough"


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (2.0, 1)])
def test_suspects_of_two_runs_are_confirmed_at_their_revisions(
    bench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float, code: int
) -> None:
    """With stand-ins for the harness, which take as long as they are told."""
    machine = LocalExecutor().ask("harness.machine:describe", "cpu", 1)
    cell = measurement("iMAML", 2, metrics={"wall_seconds": [1.0]})
    git(tmp_path, "init", "--quiet")
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").touch()
    for tag, seconds in (("v1", 0.1), ("v2", factor * 0.1)):
        (tmp_path / "harness" / "__main__.py").write_text(f"NAME, SECONDS = {tag!r}, {seconds}\n{TIMER}")
        commit(tmp_path, tag)
        revision = subprocess.run(["git", "rev-parse", tag], cwd=tmp_path, capture_output=True, text=True, check=True)
        manifest = run([cell], machine=machine, git_revision=revision.stdout.strip(), git_dirty=False).manifest
        with open_run(tmp_path / "runs" / tag, manifest) as opened:
            opened.append(cell)
    monkeypatch.setenv("STORED", str(tmp_path / "runs" / "v1"))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    done = bench("compare", "runs/v1", "runs/v2", "--confirm", "--all")
    assert done.returncode == code, done.stderr
    [out] = (tmp_path / "runs").glob("confirm-*")
    notice = f"1 time measured again, base and head in turn, in up to 6 new processes a side: runs/{out.name}"
    assert f"note: {notice}" in done.stdout.splitlines()
    assert f"{code} WORSE, 0 UNCLEAR" in done.stdout.splitlines()[-1]
    assert done.stderr.count("turn 6 of at most 40: 1 of 1 times") == 2
    assert (out / "suspects.toml").exists()
    assert [len(load_run(out / side).processes) for side in ("base", "head")] == [6, 6]


@pytest.mark.usefixtures("revisions")
def test_a_run_and_a_revision_do_not_compare(bench: Command, tmp_path: Path) -> None:
    misspelt = bench("compare", "v1", "v2", "--metric", "flop")
    assert misspelt.returncode == 2
    assert "turn 1" not in misspelt.stderr
    refused = bench("compare", "base", "v2")
    assert refused.returncode == 2
    assert "compare two runs, or two revisions" in refused.stderr
    shutil.copytree(tmp_path / "same", tmp_path / "v2")
    taken = bench("compare", "base", "v2")
    assert (taken.returncode, taken.stderr) == (0, "base: the run base\nhead: the run v2\n")
