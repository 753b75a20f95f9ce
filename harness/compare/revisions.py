"""Two git revisions measured in one job, their processes in turn."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import BadInput, unknown
from harness.executors.lifetime import die_with
from harness.git import git
from harness.store import LoadedRun, load_run
from harness.suite import Suite, load_suite

WORKING_TREE = "."
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
    folders = {"base": out / "base", "head": out / "head"}
    for folder in folders.values():
        if folder.exists():
            raise BadInput(f"{folder} is there already; choose another --out")
    with _checkout(base) as base_tree, _checkout(head) as head_tree:
        sides = [_Side("base", base, base_tree, folders["base"]), _Side("head", head, head_tree, folders["head"])]
        for side in sides:
            side.require(job)
        turns = [(repeat, index) for repeat in range(job.repeats) for index in range(len(job.configurations))]
        for turn, (repeat, index) in enumerate(turns, start=1):
            label = job.configurations[index]
            for side in sides if (repeat + index) % 2 == 0 else reversed(sides):
                tell(f"turn {turn} of {len(turns)}: {label}, {side.name} ({side.revision.name})")
                side.measure(job, label, repeat)
    return load_run(folders["base"]), load_run(folders["head"])


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

    def measure(self, job: Job, label: str, repeat: int) -> None:
        """Measure one estimator once more; what was measured in earlier turns is there already."""
        repeats = ["--repeat", str(repeat + 1)] if job.repeats > 1 else []
        out = ["--out", str(self.out.absolute()), "--quiet", f"--estimator={label}"]
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
