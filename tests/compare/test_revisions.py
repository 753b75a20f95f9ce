"""Two revisions in turn: who is called when, what is refused, what is left behind; and suspects measured again."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.compare import (
    Comparison,
    Job,
    Revision,
    compare_runs,
    confirm_in_turn,
    find_revision,
    revisions_of,
    run_in_turn,
)
from harness.compare.confirm import LOOKS
from harness.compare.revisions import SOME_CELLS_FAILED, SUSPECTS
from harness.errors import BadInput
from harness.executors import LocalExecutor
from harness.statistics import Verdict
from harness.store import LoadedRun, load_run
from harness.suite import load_suite
from tests.compare.conftest import Commit, calls, git, worktrees
from tests.report.synthetic import MACHINE, measurement, run

SUITE = """
title = "Small"
[problem]
name = "linear"
[inner]
lr = 0.5
lam = 0.5
[[estimator]]
name = "maml"
label = "-odd label"
[[estimator]]
name = "imaml-cg"
label = "iMAML"
[grid]
steps = [1, 2]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def job(suite: Path) -> Job:
    return Job.of(str(suite), None, 2, ["--device", "cpu"])


def revision(name: str) -> Revision:
    found = find_revision(name)
    assert found is not None
    return found


def test_revisions_are_found_by_any_name(commit: Commit, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = commit("v1"), commit("v2")
    assert [revision(name).commit for name in ("v1", "HEAD~1", first[:9], "v2", "main")] == [first] * 3 + [second] * 2
    assert str(revision("v1")) == f"git revision v1 ({first[:8]})"
    assert find_revision("v3") is None
    monkeypatch.chdir(repository / "harness")
    tree = revision(".")
    assert (tree.commit, tree.repository, tree.short) == (None, repository, "tree")
    monkeypatch.chdir("/")
    assert find_revision(".") is None
    assert find_revision("v1") is None


def test_a_name_is_never_an_option(commit: Commit, repository: Path, tmp_path: Path) -> None:
    commit("v1")
    git(repository, "update-ref", "refs/heads/-q", "HEAD")
    for name in ("-q", "--show-toplevel", "--git-dir", "--output=x", ""):
        assert find_revision(name) is None
    assert find_revision("v1:harness") is None  # a folder of the commit, not a commit


def test_processes_take_turns(commit: Commit, repository: Path, log: Path, job: Job, tmp_path: Path) -> None:
    commit("v1")
    commit("v2")
    told: list[str] = []
    base, head = run_in_turn(revision("v1"), revision("v2"), job, tmp_path / "out", told.append)
    assert [base.path, head.path] == [tmp_path / "out" / "base", tmp_path / "out" / "head"]
    assert [each[0] for each in calls(log) if "--help" in each] == ["v1", "v2"]
    measured = [each for each in calls(log) if "--help" not in each]
    assert [(each[0], each[6], each[8]) for each in measured] == [
        ("v1", "--estimator=-odd label", "1"),
        ("v2", "--estimator=-odd label", "1"),
        ("v2", "--estimator=iMAML", "1"),
        ("v1", "--estimator=iMAML", "1"),
        ("v2", "--estimator=-odd label", "2"),
        ("v1", "--estimator=-odd label", "2"),
        ("v1", "--estimator=iMAML", "2"),
        ("v2", "--estimator=iMAML", "2"),
    ]
    assert measured[0] == [
        *("v1", "run", str(job.suite), "--out", str(base.path), "--quiet", "--estimator=-odd label"),
        *("--repeat", "1", "--device", "cpu"),
    ]
    assert told[0] == "turn 1 of 4: -odd label, base (v1)"
    assert len(told) == 8
    assert worktrees(repository) == 1


def test_the_working_tree_is_taken_with_its_changes(
    commit: Commit, repository: Path, log: Path, suite: Path, tmp_path: Path
) -> None:
    commit("v1")
    main = repository / "harness" / "__main__.py"
    main.write_text(main.read_text().replace("'v1'", "'changed'"))
    run_in_turn(revision("v1"), revision("."), Job.of(str(suite), ["iMAML"], 1, []), tmp_path / "out")
    assert [each[0] for each in calls(log) if "--help" not in each] == ["v1", "changed"]
    assert "'changed'" in main.read_text()


def test_failed_cells_are_for_the_comparison(commit: Commit, log: Path, job: Job, tmp_path: Path) -> None:
    commit("v1", exit=SOME_CELLS_FAILED)
    base, head = run_in_turn(revision("v1"), revision("v1"), job, tmp_path / "out")
    assert len(base.measurements) == len(head.measurements) == 1


@pytest.mark.parametrize("code", [1, 2])
def test_a_revision_that_refuses_is_one_line_and_leaves_nothing(
    commit: Commit, repository: Path, log: Path, job: Job, tmp_path: Path, code: int
) -> None:
    commit("v1")
    broken = commit("v2", exit=code)
    with pytest.raises(BadInput, match=rf"^git revision v2 \({broken[:8]}\) cannot measure this: no such thing$"):
        run_in_turn(revision("v1"), revision("v2"), job, tmp_path / "out")
    assert worktrees(repository) == 1


def test_an_interrupt_leaves_no_checkout(commit: Commit, repository: Path, log: Path, job: Job, tmp_path: Path) -> None:
    commit("v1", exit=130)
    with pytest.raises(KeyboardInterrupt):
        run_in_turn(revision("v1"), revision("v1"), job, tmp_path / "out")
    assert worktrees(repository) == 1

    def interrupted(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_turn(revision("v1"), revision("v1"), job, tmp_path / "out", interrupted)
    assert worktrees(repository) == 1


def test_a_revision_without_repeats_is_refused_before_anything_runs(
    commit: Commit, log: Path, suite: Path, job: Job, tmp_path: Path
) -> None:
    commit("v1", help="no such option yet")
    with pytest.raises(BadInput, match="knows no --repeat: only --repeat 1 can compare it"):
        run_in_turn(revision("v1"), revision("v1"), job, tmp_path / "out")
    assert [each[1:] for each in calls(log)] == [["run", "--help"]]
    run_in_turn(revision("v1"), revision("v1"), Job.of(str(suite), None, 1, []), tmp_path / "out")
    assert not any("--repeat" in each for each in calls(log))


def test_a_revision_without_a_harness_is_told(
    repository: Path, commit: Commit, log: Path, job: Job, tmp_path: Path
) -> None:
    commit("v1")
    git(repository, "rm", "--quiet", "-r", "harness")
    git(repository, "commit", "--quiet", "--message", "gone")
    empty = git(repository, "rev-parse", "HEAD")
    with pytest.raises(BadInput, match=f"^git revision {empty} .* has no harness to measure with$"):
        run_in_turn(revision("v1"), revision(empty), job, tmp_path / "out")


def test_runs_that_are_there_are_not_written_over(commit: Commit, log: Path, job: Job, tmp_path: Path) -> None:
    commit("v1")
    (tmp_path / "out" / "head").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"out/head is there already; choose another --out$"):
        run_in_turn(revision("v1"), revision("v1"), job, tmp_path / "out")
    assert not log.exists()


def test_estimators_are_those_of_the_suite(suite: Path) -> None:
    assert Job.of(str(suite), ["maml"], 1, []).configurations == ("-odd label",)
    assert Job.of(str(suite), None, 1, []).configurations == ("-odd label", "iMAML")
    with pytest.raises(BadInput, match="unknown estimator of suite 'small' 'iMAM': did you mean 'iMAML'"):
        Job.of(str(suite), ["iMAM"], 1, [])
    with pytest.raises(BadInput, match="no such suite file"):
        Job.of("missing.toml", None, 1, [])


def test_a_checkout_that_fails_is_told(commit: Commit, repository: Path, log: Path, job: Job, tmp_path: Path) -> None:
    commit("v1")
    gone = Revision("v0", "0" * 40, repository)
    with pytest.raises(BadInput, match=r"^git revision v0 \(00000000\) cannot be checked out: .*000000"):
        run_in_turn(revision("v1"), gone, job, tmp_path / "out")
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


def suspected(*seconds: float) -> Comparison:
    """Single processes of as many cells, base taking 1 s; two that differ by less than a fifth are unclear."""

    def side(times: list[float]) -> LoadedRun:
        return run([measurement("MAML", k, metrics={"wall_seconds": [each]}) for k, each in enumerate(times, start=1)])

    return compare_runs(side([1.0] * len(seconds)), side(list(seconds)))


@pytest.mark.parametrize(
    ("seconds", "verdict", "turns"),
    [(0.1, Verdict.SAME, LOOKS[0]), (0.2, Verdict.WORSE, LOOKS[0]), (0.05, Verdict.BETTER, LOOKS[0])],
)
def test_suspects_are_measured_in_turn_until_they_are_decided(
    commit: Commit, repository: Path, log: Path, tmp_path: Path, seconds: float, verdict: Verdict, turns: int
) -> None:
    commit("v1", seconds=0.1)
    commit("v2", seconds=seconds)
    told: list[str] = []
    out, options = tmp_path / "out", ["--device", "cpu"]
    found = confirm_in_turn(suspected(1.1, 1.0), revision("v1"), revision("v2"), options, out, tell=told.append)
    assert {each.verdict for each in found.findings if each.metric == "wall_seconds"} == {verdict}
    measured = [each for each in calls(log) if "--help" not in each]
    assert [each[0] for each in measured] == ["v1", "v2", "v2", "v1"] * (turns // 2)
    assert [each[each.index("--repeat") + 1] for each in measured] == [
        str(turn) for turn in range(1, turns + 1) for _ in range(2)
    ]
    labels = ["1. fig2b: MAML, K = 1", "2. fig2b: MAML, K = 2"]
    assert measured[0] == [
        *("v1", "run", str(out / SUSPECTS), "--out", str(out / "base"), "--quiet"),
        *(f"--estimator={label}" for label in labels),
        *("--repeat", "1", *options),
    ]
    assert told[0] == f"turn 1 of at most {LOOKS[-1]}: 2 of 2 times, base (v1)"
    assert [each.label for each in load_suite(out / SUSPECTS).cells("cpu", 1)] == labels
    assert len(load_run(out / "head").processes) == 2 * turns
    assert found.notices[-1].endswith(f"in up to {turns} new processes a side: {out}")
    assert worktrees(repository) == 1


def test_where_nothing_is_suspect_nothing_is_measured(commit: Commit, log: Path, tmp_path: Path) -> None:
    commit("v1")
    times = {"wall_seconds": [1.0] * 3}
    cells = [measurement(metrics=times).model_copy(update={"repeat": repeat}) for repeat in range(9)]
    same = compare_runs(run(cells), run(cells))
    found = confirm_in_turn(same, revision("v1"), revision("v1"), [], tmp_path / "out")
    assert found.findings == same.findings
    assert found.notices == [*same.notices, "no time is suspect: nothing was measured again"]
    assert not log.exists()
    assert not (tmp_path / "out").exists()


def test_a_confirmation_that_is_there_is_not_written_over(commit: Commit, log: Path, tmp_path: Path) -> None:
    commit("v1", seconds=0.1)
    (tmp_path / "out" / "base").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"out/base is there already; choose another --out$"):
        confirm_in_turn(suspected(1.1), revision("v1"), revision("v1"), [], tmp_path / "out")
    assert not log.exists()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is that of the made-up runs."""
    monkeypatch.setattr(LocalExecutor, "ask", lambda self, function, *arguments: MACHINE)


@pytest.mark.usefixtures("here")
def test_runs_are_confirmed_at_the_revisions_they_are_of(commit: Commit) -> None:
    first, second = commit("v1"), commit("v2")
    cells = [measurement(metrics={"wall_seconds": [1.0]})]
    base, head = run(cells, git_revision=first, git_dirty=False), run(cells, git_revision=second, git_dirty=False)
    assert [each.commit for each in revisions_of(base, head)] == [first, second]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"git_revision": None}, "runs/head does not say of which git revision it is"),
        ({"git_dirty": True}, "runs/head is of a working tree with changes that no git revision holds"),
        (
            {"git_revision": "ab" * 20},
            "runs/head is of git revision abababab, not of the repository around this folder",
        ),
        ({"git_revision": "v1"}, "runs/today and runs/head are both of git revision {v1}"),
        ({"machine": MACHINE.model_copy(update={"threads": 8})}, "are not of this machine (threads: 8 and 1)"),
    ],
)
def test_runs_that_cannot_be_measured_again_are_one_line(commit: Commit, manifest: dict[str, object], why: str) -> None:
    first, second = commit("v1"), commit("v2")
    cells = [measurement(metrics={"wall_seconds": [1.0]})]
    base = run(cells, git_revision=first, git_dirty=False)
    given: dict[str, Any] = {"git_revision": second, "git_dirty": False, **manifest}
    with pytest.raises(BadInput) as refused:
        revisions_of(base, run(cells, path="runs/head", **given))
    message = str(refused.value)
    assert why.format(v1=first[:8]) in message
    assert message.startswith("--confirm: ")
    assert message.endswith("; compare two revisions by name, or . for the working tree")
    assert "\n" not in message
