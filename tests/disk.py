"""What a run does to its files, recorded operation by operation, made to fail, or lost as when the power goes."""

import builtins
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from io import FileIO
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest

Kind = Literal["mkdir", "create", "write", "truncate", "sync", "rename", "unlink"]


@dataclass(frozen=True)
class Operation:
    """One system call that changes files, or has them on the disk."""

    kind: Kind
    path: Path
    """Of a file or folder; what is written, cut or synchronised is the file that has it at that moment."""
    to: Path | None = None
    """What it is renamed to."""
    at: int = 0
    """Where it is written, or cut."""
    content: bytes = b""


Before = Callable[[Operation], int | None]
"""Is told of each operation to come; may raise, or say of how many bytes there is room for a write."""


@dataclass
class Disk:
    """The operations on files since recording began."""

    log: list[Operation] = field(default_factory=list)
    before: Before = lambda _: None

    @contextmanager
    def doing(self, operation: Operation) -> Generator[None]:
        """Within, the operation is done; it is noted unless it fails."""
        self.before(operation)
        yield
        self.log.append(operation)


@contextmanager
def recorded(before: Before = lambda _: None) -> Generator[Disk]:
    """Everything that the store and what it stands on do to files within the block."""
    disk, patch, paths = Disk(before=before), pytest.MonkeyPatch(), dict[int, Path]()
    make, open_file, sync, rename, unlink = os.mkdir, os.open, os.fsync, os.replace, os.unlink

    class Recorded(FileIO):
        def __init__(self, file: Any, mode: str) -> None:
            self._path = paths[file] if isinstance(file, int) else Path(file)
            new = not isinstance(file, int) and not self._path.exists()
            with disk.doing(Operation("create", self._path)) if new else nullcontext():
                super().__init__(file, mode)
            paths[self.fileno()] = self._path

        def write(self, content: Any, /) -> int | None:
            operation = Operation("write", self._path, at=self.seek(0, os.SEEK_END), content=bytes(content))
            written = super().write(operation.content[: disk.before(operation)])
            disk.log.append(replace(operation, content=operation.content[:written]))
            return written

        def truncate(self, size: int | None = None, /) -> int:
            assert size is not None
            with disk.doing(Operation("truncate", self._path, at=size)):
                return super().truncate(size)

    def recorded_open(path: Any, flags: int, *arguments: Any) -> int:
        where = Path(os.fsdecode(path))
        with disk.doing(Operation("create", where)) if flags & os.O_CREAT else nullcontext():
            descriptor = open_file(path, flags, *arguments)
        paths[descriptor] = where
        return descriptor

    def of_one(kind: Kind, call: Callable[..., None]) -> Callable[..., None]:
        def recorded_call(path: Any, *arguments: Any) -> None:
            where = paths[path] if isinstance(path, int) else Path(os.fsdecode(path))
            with disk.doing(Operation(kind, where)):
                call(path, *arguments)

        return recorded_call

    def recorded_rename(path: Any, to: Any) -> None:
        with disk.doing(Operation("rename", Path(os.fsdecode(path)), Path(os.fsdecode(to)))):
            rename(path, to)

    def opened(file: Any, mode: str) -> Any:
        return Recorded(file, mode.replace("b", "")) if isinstance(file, int) else builtins.open(file, mode)  # noqa: PTH123

    with patch.context() as patched:
        patched.setattr("harness.store.FileIO", Recorded)
        for module in ("harness.files", "harness.lock"):
            patched.setattr(f"{module}.open", opened, raising=False)
        patched.setattr(os, "mkdir", of_one("mkdir", make))
        patched.setattr(os, "open", recorded_open)
        patched.setattr(os, "fsync", of_one("sync", sync))
        patched.setattr(os, "replace", recorded_rename)
        patched.setattr(os, "unlink", of_one("unlink", unlink))
        yield disk


Files = Mapping[Path, bytes | None]
"""What a disk holds: content by path, ``None`` for a folder."""

_OF_A_FOLDER = ("mkdir", "create", "rename", "unlink")


def after_a_crash(log: Sequence[Operation], cuts: Callable[[bytes], Iterable[bytes]]) -> Iterator[Files]:
    """Every state that a disk may be in when the power goes after these operations.

    What was synchronised is there. Of the rest any part may be: each change of a folder or not, and of each write what
    ``cuts`` gives, or nothing. That is as little as POSIX promises; file systems do better.
    """
    steps = _Steps(log)
    choices = [steps.versions(place, cuts) for place in steps.pending]
    for chosen in product(*choices):
        yield steps.replayed(dict(zip(steps.pending, chosen, strict=True)))


class _Steps:
    """Operations with the file (a number, as it may change its name) that each of them is on."""

    def __init__(self, log: Sequence[Operation]) -> None:
        self._log = log
        self._files: list[int] = []
        names: dict[Path, int] = {}
        unsynced: dict[int, Path | int] = {}
        for place, each in enumerate(log):
            file = place if each.kind in ("mkdir", "create") else names.get(each.path, -1)
            self._files.append(file)
            match each.kind:
                case "mkdir" | "create":
                    names[each.path] = file
                case "rename":
                    assert each.to is not None
                    names[each.to] = names.pop(each.path)
                case "unlink":
                    names.pop(each.path, None)
                case "sync":
                    unsynced = {at: of for at, of in unsynced.items() if of not in (each.path, file)}
                case _:
                    pass
            if each.kind in _OF_A_FOLDER:
                unsynced[place] = each.path.parent
            elif each.kind != "sync":
                unsynced[place] = file
        self.pending = list(unsynced)
        """Places of the operations that need not be on the disk."""

    def versions(self, place: int, cuts: Callable[[bytes], Iterable[bytes]]) -> list[bytes | None]:
        """What may have become of an operation: nothing (``None``), or as much as is given of what it wrote."""
        operation = self._log[place]
        return [None, *dict.fromkeys(cuts(operation.content) if operation.kind == "write" else [b""])]

    def replayed(self, pending: Mapping[int, bytes | None]) -> Files:
        """The files, with what has become of the pending operations."""
        names: dict[Path, int] = {}
        contents: dict[int, bytearray] = {}
        folders: set[int] = set()
        for place, (each, file) in enumerate(zip(self._log, self._files, strict=True)):
            version = pending.get(place, each.content)
            if version is None:
                continue
            match each.kind:
                case "mkdir":
                    names[each.path] = file
                    folders.add(file)
                case "create":
                    names[each.path] = file
                case "rename":
                    assert each.to is not None
                    names.pop(each.path, None)
                    names[each.to] = file
                case "unlink":
                    names.pop(each.path, None)
                case "write":
                    content = contents.setdefault(file, bytearray())
                    content.extend(bytes(max(0, each.at - len(content))))
                    content[each.at : each.at + len(version)] = version
                case "truncate":
                    del contents.setdefault(file, bytearray())[each.at :]
                case "sync":
                    pass
        found = {path: None if file in folders else bytes(contents.get(file, b"")) for path, file in names.items()}
        made = {each.path for each in self._log if each.kind == "mkdir"}
        lost = made - {path for path, content in found.items() if content is None}
        return {path: content for path, content in found.items() if lost.isdisjoint(path.parents)}
