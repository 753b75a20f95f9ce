"""Files replaced as a whole."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from harness.errors import BadInput

_REMNANT = re.compile(r"\..+\.[0-9a-f]{8}\.new")
"""What a file is called while it is being written: its name to be, between a dot and eight random digits."""


def replace(path: Path, content: bytes) -> None:
    """Write a file so that at any moment a reader, or a machine that lost its power, has the old one or the new one.

    The content is written beside it under a name nobody else has, never through a link, and takes the file's name, or
    that of a link in its place, only when it is on the disk.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    folder, name = os.fsencode(path.parent), path.name.encode(errors="surrogateescape")
    written = folder + b"/.%s.%s.new" % (name[:200], secrets.token_hex(4).encode())
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  (a descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(written, folder + b"/" + name)  # noqa: PTH105  (bytes: the locale may lack the letters)
    except BaseException:
        with suppress(OSError):
            os.unlink(written)  # noqa: PTH108
        raise
    _sync(folder)


def is_remnant(path: Path) -> bool:
    """Whether ``path`` has the name of what an interrupted :func:`replace` leaves behind."""
    return _REMNANT.fullmatch(path.name) is not None


def remove_remnants(folder: Path) -> None:
    """Remove what interrupted calls of :func:`replace` left in a folder nobody else writes to."""
    for path in filter(is_remnant, folder.iterdir()):
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder of ours within one that may be from anyone: a link in its place leads where they like.

    Raises:
        BadInput: There is a link, or a file.
        OSError: It cannot be made.
    """
    if path.is_symlink():
        raise BadInput(f"{path} is a link to {path.readlink()}; remove it, or name the folder it leads to")
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path} is not a folder; remove it")
    path.mkdir(parents=True, exist_ok=True)


def make_lasting_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, whose name is on the disk: what is written in it stays.

    Raises:
        OSError: It cannot be made.
    """
    missing = [each for each in path.parents if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in (path, *missing):  # also of one that was there: who made it may have been killed before this
        _sync(os.fsencode(each.parent))


def _sync(folder: bytes) -> None:
    """Have the folder's entries on the disk, where its file system can be asked for that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
