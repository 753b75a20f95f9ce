"""Whenever the power goes, a run opens with every measurement that was appended, and goes on."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import TypeAlias

import pytest

from harness.cell import Measurement, Status
from harness.errors import BadInput
from harness.store import load_run, open_run
from tests.disk import Disk, Files, Operation, after_a_crash, recorded
from tests.test_store import measured, planning

CELLS = range(1, 51)
PLAN = planning(*CELLS)

Cuts: TypeAlias = Callable[[bytes], Iterable[bytes]]
"""What may be on the disk of what is being written."""

Promise: TypeAlias = tuple[int, int]
"""How many operations had been done when so many measurements had been appended."""


def measurement(steps: int) -> Measurement:
    return measured(steps, Status.CRASH if steps % 7 == 0 else Status.OK, flops=[1.0], overhead_seconds=[0.1 * steps])


def recorded_run(path: Path) -> tuple[Disk, list[Promise]]:
    """A run of fifty cells, killed after the twentieth, whose next writer died within a line."""
    promises: list[Promise] = [(0, 0)]
    with recorded() as disk:
        for part in (CELLS[:20], CELLS[20:30], CELLS[30:]):
            run = open_run(path, PLAN)
            for steps in part:
                run.append(measurement(steps))
                promises.append((len(disk.log), steps))
            if part[-1] == 50:
                run.finish()
                run.close()
            else:
                if part[-1] == 30:
                    run._file.write(b'{"schema_version": 4, "key"')  # pyright: ignore[reportPrivateUsage]
                run._file.close()  # pyright: ignore[reportPrivateUsage]  # as a dead process leaves it
    return disk, promises


def lay_out(folder: Path, files: Files) -> None:
    """Have a folder hold these files and nothing else."""
    rmtree(folder, ignore_errors=True)
    for path, content in sorted(files.items(), key=lambda item: len(item[0].parts)):
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)


def kept(path: Path) -> list[Measurement]:
    """What a reader finds; nothing where a run has only begun."""
    try:
        return load_run(path).measurements
    except BadInput as error:
        if str(error).endswith((": no such folder", "(manifest.json is missing)", ": holds no measurements yet")):
            return []
        raise


def states(log: Sequence[Operation], promises: Sequence[Promise], cuts: Cuts) -> Iterator[tuple[int, Files]]:
    """How many measurements had been appended when the power went, and what the disk may then hold."""
    seen: set[tuple[int, int]] = set()
    for done in range(len(log) + 1):
        appended = max(count for at, count in promises if at <= done)
        for files in after_a_crash(log[:done], cuts):
            state = appended, hash(tuple(sorted(files.items())))
            if state not in seen:
                seen.add(state)
                yield appended, files


def few_cuts(content: bytes) -> list[bytes]:
    """Half of a write, nearly all, all of it, and its length alone as some file systems have it."""
    return [content[: len(content) // 2], content[:-1], content, bytes(len(content))]


def every_cut(content: bytes) -> list[bytes]:
    return [content[:length] for length in range(1, len(content) + 1)] + [bytes(len(content))]


def require_kept(path: Path, files: Files, appended: int, begun: int) -> None:
    """A reader and the next writer find what was appended, at most with the one that was begun, and finish the run."""
    lay_out(path.parent, files)
    found = kept(path)
    expected = [measurement(steps) for steps in CELLS]
    assert found in (expected[:appended], expected[:begun])
    with open_run(path, PLAN) as run:
        assert run.done() == {(each.key, 0) for each in found if each.status is Status.OK}
        if len(found) < len(expected):
            run.append(expected[len(found)])
        run.finish()
    assert kept(path) == expected[: len(found) + 1]
    assert {each.name for each in path.iterdir()} == {"manifest.json", "measurements.jsonl"}


def tried(path: Path, log: Sequence[Operation], promises: Sequence[Promise], cuts: Cuts) -> int:
    """How many states of the disk kept what they had to."""
    count = 0
    for appended, files in states(log, promises, cuts):
        require_kept(path, files, appended, appended + 1)
        count += 1
    return count


@pytest.fixture
def run_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Sequence[Operation], Sequence[Promise]]:
    disk, promises = recorded_run(tmp_path / "parent" / "run")
    monkeypatch.setattr(os, "fsync", int)  # what is laid out here need not last
    return disk.log, promises


def test_what_is_recorded_is_what_is_on_the_disk(
    tmp_path: Path, run_log: tuple[Sequence[Operation], Sequence[Promise]]
) -> None:
    log, _ = run_log
    *_, everything = after_a_crash(log, lambda content: [content])
    held = {path: path.read_bytes() for path in (tmp_path / "parent" / "run").iterdir()}
    assert {path: content for path, content in everything.items() if content is not None} == held
    assert {each.kind for each in log} == {"mkdir", "create", "write", "truncate", "sync", "rename", "unlink"}


@pytest.mark.parametrize(
    ("cuts", "cells", "least"),
    [
        pytest.param(few_cuts, 50, 250, id="a few parts of each write"),
        pytest.param(every_cut, 3, 2000, id="every byte", marks=pytest.mark.thorough),
    ],
)
def test_after_a_crash_at_any_moment_nothing_that_was_appended_is_lost(
    tmp_path: Path, run_log: tuple[Sequence[Operation], Sequence[Promise]], cuts: Cuts, cells: int, least: int
) -> None:
    log, promises = run_log
    until = len(log) if cells == 50 else promises[cells][0]
    assert tried(tmp_path / "parent" / "run", log[:until], promises, cuts) > least


@pytest.mark.parametrize("unsynchronised", ["parent", "run", "measurements.jsonl"])
def test_a_run_that_leaves_something_unsynchronised_is_found_out(
    tmp_path: Path, run_log: tuple[Sequence[Operation], Sequence[Promise]], unsynchronised: str
) -> None:
    log, promises = run_log
    left = [(at, each) for at, each in enumerate(log) if each.kind != "sync" or each.path.name != unsynchronised]
    careless = [each for at, each in left if at < promises[3][0]]
    later = [(sum(at < until for at, _ in left), appended) for until, appended in promises[:4]]
    with pytest.raises((AssertionError, BadInput)):
        tried(tmp_path / "parent" / "run", careless, later, lambda content: [content])
