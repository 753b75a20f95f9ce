"""What else the machine does while a call is timed, as Linux counts it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from harness.meters.reading import Reading

_STAT = Path("/proc/stat")
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Shares:
    """Who had the machine's CPUs over an interval, as shares of the time of all of them."""

    steal: Reading[float]
    """Time the hypervisor gave to other machines."""
    foreign: Reading[float]
    """Time other processes took. The kernel counts in ticks of some 10 ms, so a short interval reads coarsely."""


@dataclass(frozen=True)
class CpuTimes:
    """Time since boot, summed over all CPUs."""

    total_seconds: float
    busy_seconds: float
    """In processes and the kernel; neither idle nor stolen."""
    steal_seconds: float
    own_seconds: float
    """In this process, since it began."""

    def until(self, later: "CpuTimes") -> Shares:
        """The shares between this moment and a later one."""
        total = later.total_seconds - self.total_seconds
        if total <= 0:
            unknown = Reading[float](None, f"{_STAT} says of no CPU time in the interval")
            return Shares(unknown, unknown)
        steal = later.steal_seconds - self.steal_seconds
        foreign = later.busy_seconds - self.busy_seconds - (later.own_seconds - self.own_seconds)
        return Shares(*(Reading(min(1.0, max(0.0, seconds) / total)) for seconds in (steal, foreign)))


def cpu_times() -> CpuTimes:
    """The CPU times now; all zero but its own where the system does not tell."""
    own = time.process_time()
    try:
        fields = _STAT.read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return CpuTimes(0.0, 0.0, 0.0, own)
    ticks_per_second = os.sysconf("SC_CLK_TCK")
    user, nice, system, idle, iowait, irq, softirq, steal = (int(ticks) / ticks_per_second for ticks in fields)
    busy = user + nice + system + irq + softirq
    return CpuTimes(busy + idle + iowait + steal, busy, steal, own)


def load_average() -> Reading[float]:
    """Processes running or waiting to run, over the last minute."""
    try:
        return Reading(os.getloadavg()[0])
    except (AttributeError, OSError):
        return Reading(None, "the system keeps no load average")


def governor() -> Reading[str]:
    """The frequency governors of the CPUs this process may use, by name."""
    try:
        names = {(_CPUS / f"cpu{cpu}/cpufreq/scaling_governor").read_text().strip() for cpu in usable_cpus()}
    except OSError:
        return Reading(None, "no frequency scaling is to be seen, as in a virtual machine")
    return Reading(", ".join(sorted(names)))


def usable_cpus() -> frozenset[int]:
    """Numbers of the CPUs this process may run on; all of them where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))
