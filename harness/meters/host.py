"""Resident memory of this process, as the operating system counts it."""

import resource
import sys
from collections.abc import Callable
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def rss_bytes() -> int:
    """Resident memory now; the highest so far where the system does not tell."""
    try:
        return _linux_bytes("VmRSS")
    except OSError:
        return _lifetime_peak_bytes()


def rss_peak_bytes(call: Callable[[], object]) -> int:
    """Run ``call`` once; growth of the peak resident set over the resident set before it, bytes.

    On Linux the kernel's own high-water mark, reset before the call. Elsewhere, or where the reset is forbidden, the
    growth of the process's lifetime peak: a lower bound unless this is the largest call so far.
    """
    try:
        _CLEAR.write_text("5")
        before = _linux_bytes("VmRSS")
        peak_bytes: Callable[[], int] = lambda: _linux_bytes("VmHWM")  # noqa: E731
    except OSError:
        before = _lifetime_peak_bytes()
        peak_bytes = _lifetime_peak_bytes
    call()
    return max(0, peak_bytes() - before)


def _linux_bytes(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"no {field} in {_STATUS}")


def _lifetime_peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
