"""Shares of CPU time against loads that are known."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.meters import conditions
from harness.meters.conditions import CpuTimes, cpu_times, governor, load_average, usable_cpus
from harness.meters.reading import Reading

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_shares_are_of_the_whole_machine() -> None:
    start = CpuTimes(total_seconds=100.0, busy_seconds=50.0, steal_seconds=1.0, own_seconds=10.0)
    end = CpuTimes(total_seconds=120.0, busy_seconds=60.0, steal_seconds=2.0, own_seconds=14.0)
    shares = start.until(end)
    assert shares.steal == Reading(1 / 20)
    assert shares.foreign == Reading(6 / 20)


def test_ticks_too_coarse_for_an_interval_make_no_share_negative() -> None:
    start = CpuTimes(100.0, 50.0, 1.0, 10.0)
    assert start.until(CpuTimes(100.1, 50.0, 1.0, 10.05)).foreign == Reading(0.0)


def test_no_time_is_no_share() -> None:
    shares = CpuTimes(0.0, 0.0, 0.0, 1.0).until(CpuTimes(0.0, 0.0, 0.0, 2.0))
    assert shares.steal == shares.foreign == Reading(None, "/proc/stat says of no CPU time in the interval")


def test_the_fields_are_the_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  1000 200 300 4000 500 60 70 80 900 10\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    monkeypatch.setattr(conditions, "_STAT", stat)
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    times = cpu_times()
    assert times.total_seconds == pytest.approx(62.1)  # guests' time is in that of users already
    assert (times.busy_seconds, times.steal_seconds) == (pytest.approx(16.3), 0.8)


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(conditions, "_STAT", tmp_path / "none")
    assert cpu_times().until(cpu_times()).steal.value is None
    monkeypatch.setattr(conditions, "_CPUS", tmp_path)
    assert governor() == Reading(None, "no frequency scaling is to be seen, as in a virtual machine")
    monkeypatch.delattr(os, "getloadavg")
    assert load_average() == Reading(None, "the system keeps no load average")


@needs_linux
def test_another_process_is_foreign() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    ) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        start = cpu_times()
        time.sleep(0.5)
        share = start.until(cpu_times()).foreign.value
        busy.kill()
    assert share is not None
    assert 0.2 / (os.cpu_count() or 1) < share <= 1


@needs_linux
def test_this_process_counts_its_own_time() -> None:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    outer = time.process_time()
    start = cpu_times()
    inner = time.process_time()
    while time.process_time() < inner + 0.1:
        pass
    spent = cpu_times().own_seconds - start.own_seconds
    assert 0.1 - tick <= spent <= time.process_time() - outer + tick


@needs_linux
def test_load_and_cpus_are_those_of_the_system() -> None:
    assert load_average().value == pytest.approx(os.getloadavg()[0], abs=1.0)
    assert usable_cpus() == os.sched_getaffinity(0)


def test_governors_of_the_usable_cpus_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for cpu, name in enumerate(["powersave", "performance", "performance"]):
        folder = tmp_path / f"cpu{cpu}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
    monkeypatch.setattr(conditions, "_CPUS", tmp_path)
    monkeypatch.setattr(conditions, "usable_cpus", lambda: frozenset({1, 2}))
    assert governor() == Reading("performance")
    monkeypatch.setattr(conditions, "usable_cpus", lambda: frozenset({0, 1}))
    assert governor() == Reading("performance, powersave")
