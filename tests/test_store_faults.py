"""Whatever operation on its files fails, a run says so in one line, loses nothing, and goes on once it can."""

import os
from collections.abc import Callable
from errno import EDQUOT, EIO, ENOSPC, EROFS
from itertools import count
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.store import load_run, open_run
from tests.disk import Operation, recorded
from tests.test_store import measured, planning
from tests.test_store_crash import kept

CELLS = (1, 2, 3)
PLAN = planning(*CELLS)


def measure(path: Path) -> list[int]:
    """Measure what is missing; the steps of the cells that were appended."""
    appended: list[int] = []
    with open_run(path, PLAN) as run:
        for steps in CELLS:
            if (measured(steps).key, 0) not in run.done():
                run.append(measured(steps, overhead_seconds=[0.1], flops=[1.0]))
                appended.append(steps)
        run.finish()
    return appended


def on_disk(path: Path) -> list[int]:
    return [each.cell.steps for each in kept(path)]


def failing(first: int, fault: int, *, lasting: bool) -> tuple[Callable[[Operation], None], list[Operation]]:
    """What fails one operation, or all from it on, and those that it failed."""
    failed: list[Operation] = []
    numbers = count()

    def before(operation: Operation) -> None:
        number = next(numbers)
        if number == first or (lasting and number > first):
            failed.append(operation)
            raise OSError(fault, os.strerror(fault))

    return before, failed


@pytest.fixture
def operations(tmp_path: Path) -> int:
    with recorded() as disk:
        measure(tmp_path / "undisturbed")
    return len(disk.log)


@pytest.mark.parametrize(
    ("fault", "lasting"),
    [
        pytest.param(ENOSPC, True, id="disk full"),
        pytest.param(EDQUOT, False, id="quota reached for a moment"),
        pytest.param(EROFS, True, id="read-only"),
        pytest.param(EIO, False, id="one error of the disk"),
    ],
)
def test_an_operation_that_fails_is_one_line_and_loses_nothing(
    tmp_path: Path, operations: int, fault: int, lasting: bool
) -> None:
    refused = 0
    for first in range(operations):
        path = tmp_path / f"run{first}"
        before, failed = failing(first, fault, lasting=lasting)
        appended: list[int] = []
        with recorded(before):
            try:
                appended = measure(path)
            except BadInput as error:
                message = str(error)
                assert message.endswith(os.strerror(fault))
                assert str(tmp_path) in message
                refused += 1
        assert failed
        found = on_disk(path)
        assert found == list(CELLS[: len(found)])
        assert set(appended) <= set(found)
        measure(path)
        assert on_disk(path) == list(CELLS)
        assert {each.name for each in path.iterdir()} == {"manifest.json", "measurements.jsonl"}
    assert refused > operations / 2


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_disk_that_fills_up_within_a_write_keeps_whole_lines(tmp_path: Path, room: int) -> None:
    path = tmp_path / "run"
    measure(path)
    (path / "measurements.jsonl").write_bytes((path / "measurements.jsonl").read_bytes().splitlines(keepends=True)[0])
    whole = (path / "measurements.jsonl").read_bytes()
    full = False

    def before(operation: Operation) -> int | None:
        nonlocal full
        if operation.kind != "write" or operation.path.name != "measurements.jsonl":
            return None
        if full:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        full = True
        return room

    with recorded(before), pytest.raises(BadInput, match=r"measurements.jsonl: No space left on device$"):
        measure(path)
    assert (path / "measurements.jsonl").read_bytes() == whole
    assert measure(path) == [2, 3]


def test_what_could_not_be_taken_back_is_cut_off_by_the_next_append(tmp_path: Path) -> None:
    broken = False

    def before(operation: Operation) -> int | None:
        if broken and operation.kind in ("write", "truncate"):
            raise OSError(EIO, os.strerror(EIO))
        return None

    with recorded(before), open_run(tmp_path / "run", PLAN) as run:
        run.append(measured(1))
        run._file.write(b"half a li")  # pyright: ignore[reportPrivateUsage]
        broken = True
        with pytest.raises(BadInput, match=r"Input/output error$"):
            run.append(measured(2))
        broken = False
        run.append(measured(3))
    assert on_disk(tmp_path / "run") == [1, 3]


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: Path) -> None:
    before_the_run = "1999-12-31T23:59:59+00:00"
    with open_run(tmp_path / "run", PLAN) as run:
        run.append(measured(1))
        run.append(measured(2).model_copy(update={"started_at": before_the_run}))
    with open_run(tmp_path / "run", PLAN) as run:
        assert run.done() == {(measured(steps).key, 0) for steps in (1, 2)}
        run.append(measured(3))
    assert on_disk(tmp_path / "run") == [1, 2, 3]
    assert load_run(tmp_path / "run").notices == []
