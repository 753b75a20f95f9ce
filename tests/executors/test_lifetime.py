"""Processes that the kernel ends with the one that started them."""

import subprocess
import sys

import psutil
import pytest

POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from harness.executors.lifetime import die_with

with ProcessPoolExecutor(2, get_context("fork"), die_with, (os.getpid(),)) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(3600)
"""

TOO_LATE = """
import os
from harness.executors.lifetime import die_with

print("alive", flush=True)
die_with(os.getppid() + 1)
print("alive still", flush=True)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of this system ends no process with another")


@linux
def test_a_pool_of_processes_does_not_outlive_whoever_made_it() -> None:
    with subprocess.Popen([sys.executable, "-c", POOL], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        pool = psutil.Process(process.pid).children()
        assert worker in {each.pid for each in pool}
        process.kill()
    _, alive = psutil.wait_procs(pool, timeout=60)
    assert alive == []


@linux
def test_whoever_comes_too_late_ends_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", TOO_LATE], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (-9, "alive\n")
