"""One writer of a run directory at a time, who says who it is."""

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from errno import EINVAL, ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP
from io import FileIO
from pathlib import Path
from typing import Any

import psutil

from harness.errors import BadInput
from harness.files import replace
from harness.text import harmless

LOCK = "lock"
"""The file, beside the run's, that names the writer while there is one."""

_NO_LOCKS = {ENOSYS, ENOTSUP, EOPNOTSUPP, ENOLCK, EINVAL}
"""What ``flock`` says on file systems that do not know it, some network ones among them."""
_LARGEST = 4096


def lock(file: FileIO, folder: Path) -> Callable[[], None]:
    """Lock a run directory, and name the holder in it.

    The kernel's lock on ``file`` ends with the process, whatever happens to it; the name it may leave behind says
    nothing then. Where the file system has no such locks, the name itself is the lock, until its process has ended.

    Returns:
        What unlocks it, to be called before the file is closed.

    Raises:
        BadInput: Another process holds it; says which.
        OSError: It cannot be locked.
    """
    import fcntl  # POSIX only; runs can be read anywhere

    name = folder / LOCK
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(folder, _read(name)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _create(name, folder)
    else:
        replace(name, _own())

    def unlock() -> None:
        with suppress(OSError):  # a name that stays says nothing once its process has ended
            name.unlink()

    return unlock


def _create(name: Path, folder: Path) -> None:
    for _ in range(2):
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            holder = _read(name)
            if not _has_ended(holder):
                raise _in_use(folder, holder, f"; if that has ended, remove {name}") from None
            name.unlink(missing_ok=True)
            continue
        with open(descriptor, "wb") as file:  # noqa: PTH123  (a descriptor)
            file.write(_own())
        return
    raise _in_use(folder, _read(name))


def _own() -> bytes:
    process = psutil.Process()
    holder = {
        "pid": process.pid,
        "host": socket.gethostname(),
        "started": start_of(process),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(holder).encode() + b"\n"


def start_of(process: psutil.Process) -> float:
    """When a process was started, in seconds after the boot where that is told: the clock may be set while it runs."""
    with suppress(OSError, IndexError):
        after_its_name = Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(after_its_name[19]) / os.sysconf("SC_CLK_TCK")  # the 22nd field; see proc(5)
    return process.create_time()


def _read(name: Path) -> dict[str, Any]:
    """What the file says of the holder, which may be anything; nothing where it cannot be read."""
    with suppress(OSError, ValueError, RecursionError):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123  (a descriptor)
            found = json.loads(file.read(_LARGEST))
        if isinstance(found, dict):
            return found
    return {}


def _has_ended(holder: dict[str, Any]) -> bool:
    """Whether the process is known to be gone; of one on another host that is not known."""
    pid, started = holder.get("pid"), holder.get("started")
    if holder.get("host") != socket.gethostname() or type(pid) is not int or not isinstance(started, float):
        return False
    try:
        return abs(start_of(psutil.Process(pid)) - started) > 1.0
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return True
    except psutil.Error:
        return False


def _in_use(folder: Path, holder: dict[str, Any], hint: str = "") -> BadInput:
    told = {name: harmless(str(holder.get(name)))[:80] for name in ("pid", "host", "since")}
    who = "process {pid} on {host} since {since}".format(**told) if holder else "another run"
    return BadInput(f"{folder} is being written to by {who}; wait for it or choose another --out{hint}")
