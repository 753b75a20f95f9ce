"""A worker's resident memory, seen from outside by memory-profiler."""

from collections.abc import Callable

INTERVAL_SECONDS = 0.01


def watch_rss(pid: int, ready: Callable[[float], bool], interval_seconds: float = INTERVAL_SECONDS) -> list[int]:
    """Resident bytes of a process, sampled until ``ready`` or until the process is gone.

    Args:
        pid: The process; what it starts is not counted.
        ready: Waits up to so many seconds for what the caller is waiting for, and says whether it has come.
        interval_seconds: Time from one sample to the next; the first is taken at once.

    Returns:
        The samples in order; none where the process could not be read. What happens between two samples is missed.
    """
    from memory_profiler import memory_usage
    from psutil import NoSuchProcess

    samples: list[int] = []
    while True:
        try:
            [mebibytes] = memory_usage(pid, interval=0, backend="psutil")  # a pid without a timeout: one sample
        except NoSuchProcess:
            return samples
        if mebibytes:  # None where reading is forbidden, 0 of a zombie
            samples.append(round(mebibytes * 2**20))
        if ready(interval_seconds):
            return samples
