"""The groups of processes that the Linux kernel limits the memory of, this process's and those above them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryGroup:
    """One group, of version 1 or 2 of cgroups; it need not be visible from here, as within a container."""

    folder: Path
    version: int

    @property
    def oom_kills(self) -> int | None:
        """How many of its processes the kernel has killed for want of memory; ``None`` where that is not told."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        with suppress(OSError, ValueError):
            for line in (self.folder / name).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return None


def memory_groups(proc: Path = PROC, cgroup: Path = CGROUP) -> Iterator[MemoryGroup]:
    """Each group this process is in, before those above it; none where the kernel has no groups.

    Args:
        proc: The file system ``/proc``.
        cgroup: The file system ``/sys/fs/cgroup``.
    """
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root, version = (cgroup / "memory", 1) if controllers else (cgroup, 2)
            folder = root / path.lstrip("/")
            for group in (folder, *folder.parents):
                if not group.is_relative_to(root):
                    break
                yield MemoryGroup(group, version)


def count_oom_kills(proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """How many processes of this one's group the kernel killed for want of memory; ``None`` where it does not tell."""
    counts = (group.oom_kills for group in memory_groups(proc, cgroup))
    return next((count for count in counts if count is not None), None)
