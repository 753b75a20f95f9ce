"""Ties between processes that the kernel keeps, whatever the processes themselves are doing."""

import ctypes
import os
import signal
import sys

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has no such signal, nor prctl
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with(parent: int, death_signal: signal.Signals = _KILL) -> bool:
    """Have the kernel send this process a signal when its parent ends, even while it hangs in C with the GIL held.

    To the kernel the parent is the *thread* that started this process, so the signal also comes when that thread ends.

    Args:
        parent: The process this one was started by, in case it has ended already.
        death_signal: What to send.

    Returns:
        Whether the kernel can: Linux alone does.
    """
    if not _prctl(_PR_SET_PDEATHSIG, death_signal):
        return False
    if os.getppid() != parent:
        os.kill(os.getpid(), death_signal)
    return True


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent ends, ``setsid`` or not; whether the kernel can."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    return ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value)) == 0
