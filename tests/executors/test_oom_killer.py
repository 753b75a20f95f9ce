"""A cell that the kernel kills because a limit on memory is reached, in a group of processes with such a limit."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from harness.cgroups import CGROUP, memory_groups

TESTS = Path(__file__).parents[1]
LIMIT_BYTES = 1_500_000_000
"""Room for the command, the fork server and a worker that is modest."""
SUITE = """
title = "One that takes all the memory there is"
[problem]
name = "linear"
dim = 3
n = 5
[[estimator]]
name = "faulty"
label = "greedy"
fault = "hoard"
[[estimator]]
name = "faulty"
label = "modest"
fault = ""
[grid]
steps = [1, 2]
[measure]
passes = ["counters"]
"""
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import faults, harness
harness.run(sys.argv[2], out=sys.argv[3], device="cpu", threads=1, plugins=["faults"])
"""


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
    suite, out = tmp_path / "hoard.toml", tmp_path / "out"
    suite.write_text(SUITE)
    subprocess.run(
        [sys.executable, "-c", RUN, TESTS, suite, out],
        check=True,
        timeout=300,
        preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),
    )
    lines = [json.loads(line) for line in (out / "measurements.jsonl").read_text().splitlines()]
    assert [(each["cell"]["label"], each["cell"]["steps"], each["status"], each["reason"]) for each in lines] == [
        ("greedy", 1, "oom", "the kernel killed the worker for want of memory"),
        ("modest", 1, "ok", None),
        ("greedy", 2, "skipped", "ran out of memory at K = 1 already"),
        ("modest", 2, "ok", None),
    ]
