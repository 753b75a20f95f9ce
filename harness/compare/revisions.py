"""Two git revisions measured in one job, their processes in turn: all of a suite, or what is suspect about it."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.compare import machines
from harness.compare.confirm import DETECT, LOOKS, Pair, confirm
from harness.compare.finding import Comparison
from harness.compare.suspects import Suspects, confirmed, pairs
from harness.errors import BadInput, os_errors, unknown
from harness.executors import LocalExecutor
from harness.executors.lifetime import die_with
from harness.git import git
from harness.store import LoadedRun, load_run
from harness.suite import Suite, load_suite

WORKING_TREE = "."
SUSPECTS = "suspects.toml"
"""The suite that :func:`confirm_in_turn` leaves beside its runs."""
SOME_CELLS_FAILED = 3
"""Exit code of ``run``."""
ENDED_BY_SIGNALS = {129, 143}
"""Its exit codes where the system told it to end."""


@dataclass(frozen=True)
class Revision:
    """A commit, or the working tree as it is."""

    name: str
    """As the user gave it."""
    commit: str | None
    """Its hash; none for the working tree."""
    repository: Path

    @property
    def short(self) -> str:
        """What a folder may be called after it."""
        return self.commit[:8] if self.commit else "tree"

    def __str__(self) -> str:
        """What messages call it."""
        return f"git revision {self.name} ({self.short})" if self.commit else f"the working tree {self.repository}"


@dataclass(frozen=True)
class Job:
    """What to measure of both revisions."""

    suite: Path
    """One file for both, so that the cells are the same."""
    configurations: tuple[str, ...]
    """Labels of the estimators: one of them is measured, all inner steps, before the other revision's turn."""
    repeats: int = 3
    options: tuple[str, ...] = ()
    """Further options of ``run``."""

    @classmethod
    def of(cls, suite: str, estimators: Sequence[str] | None, repeats: int, options: Sequence[str]) -> "Job":
        """The job for a suite, or for some of its estimators by name or label.

        Raises:
            BadInput: No such suite, or it has no such estimator.
        """
        loaded = load_suite(suite)
        return cls(loaded.path.absolute(), _labels(loaded, estimators), repeats, tuple(options))


def find_revision(name: str) -> Revision | None:
    """The revision of that name in the repository around the working folder; none where there is none.

    ``.`` is the working tree, changes included.
    """
    root = git("rev-parse", "--show-toplevel")
    if root is None or name.startswith("-"):
        return None
    if name == WORKING_TREE:
        return Revision(name, None, Path(root))
    commit = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return Revision(name, commit, Path(root)) if commit else None


def run_in_turn(
    base: Revision, head: Revision, job: Job, out: Path, tell: Callable[[str], None] = lambda line: None
) -> tuple[LoadedRun, LoadedRun]:
    """Measure both revisions into ``out/base`` and ``out/head``, in turn: base, head, then head, base, and so on.

    Nothing is installed: each revision's ``harness`` is imported from a checkout of its own by this interpreter, with
    the libraries that are installed now. The checkouts are removed whatever happens.

    Args:
        base: The revision to compare with.
        head: The one that may have become worse.
        job: What to measure.
        out: Folder of the two runs, which may not be there yet.
        tell: Is given a line as each turn begins.

    Raises:
        BadInput: A revision cannot be checked out or refuses the job, or ``out`` holds runs.
    """
    turns = [(repeat, index) for repeat in range(job.repeats) for index in range(len(job.configurations))]
    with _checked_out(base, head, job, out, tell) as both:
        for turn, (repeat, index) in enumerate(turns, start=1):
            label = job.configurations[index]
            both.measure(f"turn {turn} of {len(turns)}: {label}", [label], repeat, base_first=(repeat + index) % 2 == 0)
    return both.runs()


def confirm_in_turn(
    comparison: Comparison,
    base: Revision,
    head: Revision,
    options: Sequence[str],
    out: Path,
    detect: float = DETECT,
    tell: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """The comparison with the times that are suspect decided: measured again in turn, each time in new processes.

    Args:
        comparison: Of runs of the two revisions.
        base: The revision to compare with.
        head: The one that may have become worse.
        options: Of ``run``: device and threads.
        out: Folder of the suite of suspects and of both its runs, which may not be there yet.
        detect: The slowdown to find, as a share.
        tell: Is given a line as each turn begins.

    Raises:
        BadInput: A revision cannot be checked out or refuses the job, or ``out`` holds runs or cannot be written to.
    """
    suspects = Suspects.of(comparison)
    labels = tuple(suspects.findings)
    if not labels:
        return replace(comparison, notices=[*comparison.notices, "no time is suspect: nothing was measured again"])
    job = Job(out.absolute() / SUSPECTS, labels, LOOKS[-1], tuple(options))
    with _checked_out(base, head, job, out, tell) as both:
        with os_errors(f"cannot write to {job.suite}"):
            out.mkdir(parents=True, exist_ok=True)
            job.suite.write_text(suspects.suite(), encoding="utf-8")

        def take(undecided: Sequence[str], turn: int) -> dict[str, Pair]:
            words = f"turn {turn + 1} of at most {LOOKS[-1]}: {len(undecided)} of {len(labels)} times"
            both.measure(words, undecided, turn, base_first=turn % 2 == 0)
            ours, theirs = both.runs()
            return pairs(ours.processes, theirs.processes, turn)

        decisions = confirm(labels, take, detect)
    return confirmed(comparison, suspects, decisions, out)


def revisions_of(base: LoadedRun, head: LoadedRun) -> tuple[Revision, Revision]:
    """The revisions that both runs are of, where they can be measured again here.

    Raises:
        BadInput: A run does not say its revision, or is of none; both are of the same one; a revision is not in the
            repository around the working folder; this is not the machine they were made on.
    """
    found = _revision_of(base), _revision_of(head)
    if found[0].commit == found[1].commit:
        raise _not_confirmed(f"{base.path} and {head.path} are both of git revision {found[0].short}")
    there = base.manifest.machine
    here = LocalExecutor().ask("harness.machine:describe", there.device, there.threads)
    differences = machines.differences(there, here) or machines.differences(head.manifest.machine, here)
    if differences:
        raise _not_confirmed(f"{base.path} and {head.path} are not of this machine ({'; '.join(differences)})")
    return found


def _revision_of(run: LoadedRun) -> Revision:
    name = run.manifest.git_revision
    if name is None:
        raise _not_confirmed(f"{run.path} does not say of which git revision it is")
    if run.manifest.git_dirty:
        raise _not_confirmed(f"{run.path} is of a working tree with changes that no git revision holds")
    found = find_revision(name)
    if found is None:
        raise _not_confirmed(f"{run.path} is of git revision {name[:8]}, not of the repository around this folder")
    return found


def _not_confirmed(why: str) -> BadInput:
    return BadInput(f"--confirm: {why}; compare two revisions by name, or . for the working tree")


class _Both:
    """Both revisions, checked out."""

    def __init__(self, sides: tuple["_Side", "_Side"], job: Job, tell: Callable[[str], None]) -> None:
        self._sides, self._job, self._tell = sides, job, tell

    def measure(self, words: str, labels: Sequence[str], repeat: int, *, base_first: bool) -> None:
        """Measure these estimators once more, on either side."""
        for side in self._sides if base_first else reversed(self._sides):
            self._tell(f"{words}, {side.name} ({side.revision.name})")
            side.measure(self._job, labels, repeat)

    def runs(self) -> tuple[LoadedRun, LoadedRun]:
        """Base and head as they lie on disk."""
        base, head = self._sides
        return load_run(base.out), load_run(head.out)


@contextmanager
def _checked_out(base: Revision, head: Revision, job: Job, out: Path, tell: Callable[[str], None]) -> Generator[_Both]:
    """Both revisions, seen to be able to do the job; their checkouts are removed whatever happens."""
    folders = [out / "base", out / "head"]
    for folder in folders:
        if folder.exists():
            raise BadInput(f"{folder} is there already; choose another --out")
    with _checkout(base) as base_tree, _checkout(head) as head_tree:
        sides = _Side("base", base, base_tree, folders[0]), _Side("head", head, head_tree, folders[1])
        for side in sides:
            side.require(job)
        yield _Both(sides, job, tell)


@dataclass(frozen=True)
class _Side:
    """One revision, checked out."""

    name: str
    revision: Revision
    tree: Path
    out: Path

    def require(self, job: Job) -> None:
        """See that the revision's ``run`` can do the job, before any time is spent on it."""
        if not (self.tree / "harness" / "__main__.py").is_file():
            raise BadInput(f"{self.revision} has no harness to measure with")
        if "--repeat" not in self._run("run", "--help").stdout and job.repeats > 1:
            raise BadInput(f"{self.revision} knows no --repeat: only --repeat 1 can compare it")

    def measure(self, job: Job, labels: Sequence[str], repeat: int) -> None:
        """Measure these estimators once more; what was measured in earlier turns is there already."""
        repeats = ["--repeat", str(repeat + 1)] if job.repeats > 1 else []
        out = ["--out", str(self.out.absolute()), "--quiet", *(f"--estimator={label}" for label in labels)]
        self._run("run", str(job.suite), *out, *repeats, *job.options)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(filter(None, [str(self.tree), os.environ.get("PYTHONPATH", "")]))
        done = subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=self.tree,
            env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=partial(die_with, os.getpid()),
        )
        if done.returncode == 130:
            raise KeyboardInterrupt
        if done.returncode in ENDED_BY_SIGNALS:
            raise SystemExit(done.returncode)
        if done.returncode not in (0, SOME_CELLS_FAILED):
            raise BadInput(f"{self.revision} cannot measure this: {_last_words(done.stderr)}")
        return done


@contextmanager
def _checkout(revision: Revision) -> Generator[Path]:
    """The revision's files: a worktree in a temporary folder, or the working tree itself."""
    if revision.commit is None:
        yield revision.repository
        return
    with TemporaryDirectory(prefix="imaml-bench-") as folder:
        tree = Path(folder) / "tree"
        try:
            added = subprocess.run(
                ["git", "worktree", "add", "--detach", "--quiet", str(tree), revision.commit],
                cwd=revision.repository,
                capture_output=True,
                text=True,
                check=False,
            )
            if added.returncode:
                raise BadInput(f"{revision} cannot be checked out: {_last_words(added.stderr)}")
            yield tree
        finally:
            git("worktree", "remove", "--force", "--force", str(tree), folder=revision.repository)
            git("worktree", "prune", folder=revision.repository)


def _labels(suite: Suite, wanted: Sequence[str] | None) -> tuple[str, ...]:
    configurations = [each for study in suite.studies for each in study.configurations]
    known = {name for each in configurations for name in (each.label, each.estimator.name)}
    for name in wanted or ():
        if name not in known:
            raise unknown(f"estimator of suite '{suite.name}'", name, known)
    chosen = [each for each in configurations if wanted is None or {each.label, each.estimator.name} & set(wanted)]
    return tuple(dict.fromkeys(each.label for each in chosen))


def _last_words(text: str) -> str:
    """The last line that says something, without a frame around it."""
    lines = [line.strip(" \t│╭╰─╮╯|").removeprefix("imaml-bench: ") for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")
