"""Repositories with revisions of a harness that measures nothing."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.synthetic import measurement, run

STAND_IN = """
import os, sys
from pathlib import Path
arguments = sys.argv[1:]
with Path(os.environ["LOG"]).open("a") as log:
    print(NAME, *arguments, sep="\\t", file=log)
if "--help" in arguments:
    print(HELP)
    sys.exit()
if EXIT not in (0, 3):
    print("╭ Error ╮\\n│ imaml-bench: no such thing │\\n╰───────╯", file=sys.stderr)
    sys.exit(EXIT)
out = Path(arguments[arguments.index("--out") + 1])
out.mkdir(parents=True, exist_ok=True)
stored = Path(os.environ["STORED"])
for name in ("manifest.json", "measurements.jsonl"):
    (out / name).write_bytes((stored / name).read_bytes())
sys.exit(EXIT)
"""

TIMER = """
import hashlib, json, os, sys
from pathlib import Path
arguments = sys.argv[1:]
with Path(os.environ["LOG"]).open("a") as log:
    print(NAME, *arguments, sep="\\t", file=log)
if "--help" in arguments:
    print("--repeat")
    sys.exit()
out, stored = Path(arguments[arguments.index("--out") + 1]), Path(os.environ["STORED"])
out.mkdir(parents=True, exist_ok=True)
labels = [each.removeprefix("--estimator=") for each in arguments if each.startswith("--estimator=")]
repeats = int(arguments[arguments.index("--repeat") + 1])
manifest = json.loads((stored / "manifest.json").read_text()) | {"planned": labels, "repeats": repeats}
(out / "manifest.json").write_text(json.dumps(manifest))
line = json.loads((stored / "measurements.jsonl").read_text())
line.pop("digest", None)
line["repeat"] = repeats - 1
with (out / "measurements.jsonl").open("a") as file:
    for label in labels:
        line |= {"key": label, "cell": line["cell"] | {"label": label}, "metrics": {"wall_seconds": [SECONDS] * 3}}
        content = json.dumps(line, separators=(",", ":"))
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        file.write(content[:-1] + f',"digest":"{digest}"' + "}\\n")
"""
"""A harness that takes as long for every cell as it is told."""

Commit = Callable[..., str]


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository, which is the working folder."""
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stand-ins write how they were called; they leave a run of one cell."""
    stored = tmp_path / "stored"
    stored.mkdir()
    cell = measurement(metrics={"flops": [1.0]})
    (stored / "manifest.json").write_text(run([cell]).manifest.model_dump_json())
    (stored / "measurements.jsonl").write_text(cell.model_dump_json() + "\n")
    monkeypatch.setenv("STORED", str(stored))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def commit(repository: Path) -> Commit:
    """Commit a stand-in for the harness, tagged with its name."""

    def make(name: str, help: str = "--repeat", exit: int = 0, seconds: float = 0.0) -> str:
        (repository / "harness").mkdir(exist_ok=True)
        (repository / "harness" / "__init__.py").touch()
        head = f"NAME, HELP, EXIT, SECONDS = {name!r}, {help!r}, {exit}, {seconds}\n"
        (repository / "harness" / "__main__.py").write_text(head + (TIMER if seconds else STAND_IN))
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "--message", name)
        git(repository, "tag", name)
        return git(repository, "rev-parse", "HEAD")

    return make


def calls(log: Path) -> list[list[str]]:
    """Name and arguments of every call so far."""
    return [line.split("\t") for line in log.read_text().splitlines()]


def worktrees(repository: Path) -> int:
    """How many there are, with the repository's own."""
    return len([line for line in git(repository, "worktree", "list").splitlines() if line])
