"""A cell that the kernel kills because a limit on memory is reached, in a group of processes with such a limit."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from harness.cgroups import CGROUP, memory_groups
from tests.test_measure import SUITE, statuses

LIMIT_BYTES = 1_500_000_000
"""Room for the command, the fork server and a worker that is modest."""


@pytest.fixture
def group() -> Iterator[Path]:
    """A group with a limit, within this process's own."""
    own = next(iter(memory_groups()), None)
    if own is None:
        pytest.skip("needs the kernel's memory groups")
    folder = own.folder / f"imaml-bench-{uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"needs a memory group of its own under {CGROUP}: {error.strerror}")
    try:
        limit = folder / ("memory.limit_in_bytes" if own.version == 1 else "memory.max")
        try:
            limit.write_text(str(LIMIT_BYTES))
        except OSError as error:
            pytest.skip(f"needs a memory group with a limit: {limit}: {error.strerror}")
        yield folder
    finally:
        folder.rmdir()


def test_the_kernels_killing_is_running_out_of_memory(tmp_path: Path, group: Path) -> None:
    suite = SUITE.replace('"allocation"', '"hoard"').replace('["memory"]', '["counters"]')
    found = statuses(tmp_path, suite, lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
    assert found == [
        ("greedy", 1, "oom", "the kernel killed the worker for want of memory"),
        ("modest", 1, "ok", None),
        ("greedy", 2, "skipped", "ran out of memory at K = 1 already"),
        ("modest", 2, "ok", None),
    ]
