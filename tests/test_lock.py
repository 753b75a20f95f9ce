"""A run directory has one writer, who is named, on file systems with locks and without."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from errno import EIO, ENOLCK, ENOSYS
from io import FileIO
from pathlib import Path

import psutil
import pytest

from harness.errors import BadInput
from harness.lock import LOCK, lock, start_of
from harness.store import open_run
from tests.report.synthetic import measurement, run


@pytest.fixture(params=[None, ENOSYS, ENOLCK], ids=["flock", "ENOSYS", "ENOLCK"])
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system has locks."""
    if request.param is not None:

        def refuse(*_: object) -> None:
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param is None


def locked(folder: Path) -> Callable[[], None]:
    file = FileIO(folder / "measurements.jsonl", "a")
    try:
        unlock = lock(file, folder)
    except BaseException:
        file.close()
        raise

    def release() -> None:
        unlock()
        file.close()

    return release


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path, locks: bool) -> None:
    release = locked(tmp_path)
    with pytest.raises(BadInput, match=rf"by process {os.getpid()} on {socket.gethostname()} since 20") as refusal:
        locked(tmp_path)
    assert ("if that has ended, remove" in str(refusal.value)) is not locks
    release()
    assert not (tmp_path / LOCK).exists()
    locked(tmp_path)()


@pytest.mark.usefixtures("locks")
def test_who_has_ended_holds_nothing(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    reused = {"pid": os.getpid(), "started": start_of(psutil.Process()) - 3600}
    for gone in ({"pid": int(ended.stdout), "started": 1.5}, reused):
        (tmp_path / LOCK).write_text(json.dumps({"host": socket.gethostname(), "since": "then", **gone}))
        locked(tmp_path)()
        assert not (tmp_path / LOCK).exists()


@pytest.mark.usefixtures("locks")
def test_a_holder_holds_on_though_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = locked(tmp_path)
    true = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: true(self) - 86400)
    with pytest.raises(BadInput, match=f"is being written to by process {os.getpid()}"):
        locked(tmp_path)
    release()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"pid": "1", "host": 5}',
        b'{"pid": 1e400}',
        b"[" * 4000,
        b"\xff",
        b'{"pid": 1, "host": "elsewhere"}',
    ],
)
def test_a_name_that_cannot_be_judged_is_respected_where_it_is_the_lock(
    tmp_path: Path, locks: bool, content: bytes
) -> None:
    (tmp_path / LOCK).write_bytes(content)
    if locks:
        locked(tmp_path)()
    else:
        with pytest.raises(BadInput, match="is being written to by"):
            locked(tmp_path)


def test_a_planted_name_is_neither_followed_nor_obeyed(tmp_path: Path, locks: bool) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / LOCK).symlink_to("precious")
    if locks:
        locked(tmp_path)()
    else:
        with pytest.raises(BadInput, match="by another run"):
            locked(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_holder_s_name_is_no_command_to_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / LOCK).write_text(json.dumps({"pid": 1, "host": "\x1b[2J" * 99, "since": "\u202e"}))
    with pytest.raises(BadInput) as refusal:
        locked(tmp_path)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 400 + len(str(tmp_path))


@pytest.mark.usefixtures("locks")
def test_a_run_is_written_and_leaves_nothing_but_itself(tmp_path: Path) -> None:
    of = measurement(metrics={"peak_bytes": [1.0]})
    with open_run(tmp_path / "run", run([of]).manifest) as opened:
        opened.append(of)
        with pytest.raises(BadInput, match="is being written to by process"):
            open_run(tmp_path / "run", run([of]).manifest)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"manifest.json", "measurements.jsonl"}


def test_what_cannot_be_locked_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BadInput, match="Input/output error"):
        open_run(tmp_path / "run", run([measurement()]).manifest)
    assert list((tmp_path / "run").iterdir()) == []
