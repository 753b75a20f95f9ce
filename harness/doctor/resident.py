"""Resident memory of a known size, seen from inside and from outside."""

import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from select import select

from harness.doctor.finding import Finding
from harness.executors.watch import watch_rss
from harness.meters.host import rss_peak_bytes

PLANTED_BYTES = 1 << 26
TOLERANCE = 0.02
"""The kernel counts pages per CPU and adds them up now and then."""
_INSIDE, _OUTSIDE = "resident memory, from inside", "resident memory, from outside"

_HOLDER = f"""
import mmap, sys
held = mmap.mmap(-1, {PLANTED_BYTES})
print(flush=True)
sys.stdin.readline()
for page in range(0, {PLANTED_BYTES}, mmap.PAGESIZE):
    held[page] = 1
print(flush=True)
sys.stdin.readline()
"""


def touch() -> None:
    """Hold and give back :data:`PLANTED_BYTES`, every page of them written to."""
    with mmap.mmap(-1, PLANTED_BYTES) as held:
        for page in range(0, PLANTED_BYTES, mmap.PAGESIZE):
            held[page] = 1


def known_resident_memory(
    inside: Callable[[Callable[[], object]], int] = rss_peak_bytes,
    outside: Callable[[int, Callable[[float], bool]], list[int]] = watch_rss,
) -> list[Finding]:
    """This process's peak by its own reading, and that of another one by watching it."""
    peak = inside(touch)
    if peak < PLANTED_BYTES and not peak_is_reset():
        reason = "the system does not let the peak be reset, and an earlier one was higher"
        findings = [Finding.unavailable(_INSIDE, f"{PLANTED_BYTES:,} B", reason)]
    else:
        findings = [_within(_INSIDE, peak)]
    samples = _watched(outside)
    if samples:
        findings.append(_within(_OUTSIDE, max(samples) - samples[0]))
    else:
        reason = "the memory of another process cannot be read here"
        findings.append(Finding.unavailable(_OUTSIDE, f"{PLANTED_BYTES:,} B", reason))
    return findings


def peak_is_reset() -> bool:
    """Whether the system lets a process reset its peak; its lifetime's is a lower bound of a call's growth."""
    return os.access("/proc/self/clear_refs", os.W_OK)


def _within(name: str, measured: int) -> Finding:
    error = measured / PLANTED_BYTES - 1
    return Finding.within(name, f"{PLANTED_BYTES:,} B", f"{measured:,} B", error, TOLERANCE)


def _watched(outside: Callable[[int, Callable[[float], bool]], list[int]]) -> list[int]:
    """Watch a process that allocates after the first sample and ends after some more."""
    command = [sys.executable, "-I", "-S", "-c", _HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        standard_input, standard_output = holder.stdin.fileno(), holder.stdout.fileno()
        os.read(standard_output, 1)
        asked, is_held = False, False

        def ready(seconds: float) -> bool:
            nonlocal asked, is_held
            if is_held:
                return True
            if not asked:
                os.write(standard_input, b"\n")
                asked = True
            if select([standard_output], [], [], seconds)[0]:
                os.read(standard_output, 1)
                is_held = True
            return False

        samples = outside(holder.pid, ready)
        os.write(standard_input, b"\n\n")
    return samples
