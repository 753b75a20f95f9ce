"""Memory that a device has left."""

from contextlib import suppress
from pathlib import Path

from harness.cgroups import CGROUP, PROC, memory_groups

UNLIMITED_BYTES = 2**60
"""Version 1 of cgroups writes a number near 2⁶³ where there is no limit."""

_FILES = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}
"""Where a group's limit and what it uses stand, by the version of cgroups."""


def free_bytes(device: str) -> int | None:
    """Bytes that can still be allocated on ``cpu`` or ``cuda:I``; ``None`` where that is not known.

    On a CPU what the kernel deems available, or what the process's cgroups leave where that is less. On CUDA what the
    driver says, which initialises CUDA: for a worker process.
    """
    if device == "cpu":
        return free_host_bytes(PROC, CGROUP)
    import torch

    return torch.cuda.mem_get_info(device)[0] if torch.cuda.is_available() else None


def free_host_bytes(proc: Path, cgroup: Path) -> int | None:
    """What the file systems ``/proc`` and ``/sys/fs/cgroup`` say is left."""
    left = [*_left_in_groups(proc, cgroup)]
    with suppress(OSError):
        for line in (proc / "meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                left.append(int(value.split()[0]) * 1024)
    return min(left, default=None)


def _left_in_groups(proc: Path, cgroup: Path) -> list[int]:
    """What each group this process is in, and each above it, has left of its limit.

    Pages of files that it could drop count as used, unlike in ``MemAvailable``, unless its statistics name them.
    """
    left: list[int] = []
    for group in memory_groups(proc, cgroup):
        limit, usage = _FILES[group.version]
        left.extend(_left(group.folder, limit, usage))
    return left


def _left(group: Path, limit: str, usage: str) -> list[int]:
    try:
        allowed, used = (group / limit).read_text().strip(), int((group / usage).read_text())
    except OSError:
        return []  # the group is not visible from here
    if allowed == "max" or int(allowed) >= UNLIMITED_BYTES:
        return []
    return [max(0, int(allowed) - used + _reclaimable(group))]


def _reclaimable(group: Path) -> int:
    """Bytes of cached files that have not been used lately."""
    with suppress(OSError):
        for line in (group / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0
