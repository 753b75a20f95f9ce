"""A process's resident memory from outside, while it lives and after."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator

import pytest

from harness.executors.watch import INTERVAL_SECONDS, watch_rss

MIB = 2**20
GROWS = """
import sys, time
print(flush=True); sys.stdin.readline()
held = b"x" * (200 * 2**20)
print(flush=True); sys.stdin.readline()
"""


@pytest.fixture
def worker() -> Generator[subprocess.Popen[str]]:
    """A process that takes 200 MiB at the first line it reads and holds them until the second."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", GROWS], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def after(count: int) -> Callable[[float], bool]:
    """Something that is ready at the ``count``-th time of asking."""
    asked: list[float] = []

    def ready(seconds: float) -> bool:
        time.sleep(seconds)
        asked.append(seconds)
        return len(asked) >= count

    return ready


def test_growth_is_seen_from_outside(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    before = watch_rss(worker.pid, after(1))
    worker.stdin.write("\n")
    worker.stdin.flush()
    worker.stdout.readline()
    samples = watch_rss(worker.pid, after(3))
    assert len(before) == 1
    assert len(samples) == 3
    assert max(samples) - max(before) == pytest.approx(200 * MIB, rel=0.03)


def test_the_first_sample_is_taken_at_once_and_the_waits_are_the_callers() -> None:
    waits: list[float] = []

    def ready(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 4

    assert len(watch_rss(os.getpid(), ready, interval_seconds=0.5)) == 4
    assert waits == [0.5] * 4


def test_it_costs_the_watcher_little() -> None:
    """A sample keeps a processor for less than half of the time from one to the next."""
    start = time.process_time()
    samples = watch_rss(os.getpid(), after(20))
    assert (time.process_time() - start) / len(samples) < INTERVAL_SECONDS / 2


def test_a_process_that_dies_ends_the_watch_and_nothing_else_dies(worker: subprocess.Popen[str]) -> None:
    def ready(seconds: float) -> bool:
        doomed.wait()
        return False

    doomed = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    assert len(watch_rss(doomed.pid, ready)) == 1
    assert watch_rss(doomed.pid, ready) == []
    assert worker.poll() is None


def test_a_zombie_has_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert watch_rss(process.pid, after(2)) == []
