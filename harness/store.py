"""The run directory: ``manifest.json``, and ``measurements.jsonl`` with one line a cell and process.

The manifest is replaced as a whole and the measurements are only ever appended, so a run may be killed at any moment:
what is lost is at most the line being written, and opening the run again cuts its remains off.
"""

import gc
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from io import SEEK_END, FileIO
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Generic, Self, TypeVar

from harness.cell import SCHEMA_VERSION, Measurement, Status
from harness.errors import BadInput, os_errors
from harness.files import is_remnant, make_lasting_folder, remove_remnants, replace
from harness.lines import LONGEST, Judge, Outcome, Process, line, require_time, whole_lines
from harness.lock import LOCK, lock
from harness.manifest import Machine, Manifest
from harness.repeats import merged
from harness.text import harmless
from harness.units import count_of
from harness.versions import content, opened, parsed

MANIFEST = "manifest.json"
MEASUREMENTS = "measurements.jsonl"
LARGEST_MANIFEST = 64_000_000
LARGEST_RUN = 8_000_000_000
"""Most bytes of the two files."""
LARGE_BYTES = 1_000_000
"""From which on the collector of cycles is worth pausing while a run is read."""


@dataclass(frozen=True)
class LoadedRun:
    """A run as it lies on disk."""

    path: Path
    manifest: Manifest
    processes: list[Measurement]
    """The latest of every process of every cell, in the order of the plan."""
    notices: list[str]
    """What the reader should know, a line each."""

    @property
    def name(self) -> str:
        """What the folder is called, in letters that can be written anywhere."""
        return harmless(self.path.name)

    @cached_property
    def measurements(self) -> list[Measurement]:
        """One a cell, its processes merged."""
        cells: dict[str, list[Measurement]] = {}
        for each in self.processes:
            cells.setdefault(each.key, []).append(each)
        return [merged(each) for each in cells.values()]


class Run:
    """A run directory open for writing; :func:`open_run` makes it, leaving its ``with`` block closes it."""

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        file: FileIO,
        outcomes: dict[Process, Outcome],
        notices: list[str],
        unlock: Callable[[], None],
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.notices = notices
        """What the user should know, a line each."""
        self._file = file
        self._whole_bytes = file.seek(0, SEEK_END)
        self._outcomes = outcomes
        self._unlock = unlock

    def ran_out_of_memory(self) -> bool:
        """Whether a process of a cell did, and nothing else became of it since."""
        return any(each.status is Status.OOM for each in self._outcomes.values())

    def latest(self) -> list[Measurement]:
        """The latest measurement of every process of every cell, read anew."""
        return list(_read_lines(self.path, self.manifest, Judge.measurement).latest.values())

    def done(self) -> set[Process]:
        """The processes that need no repeating: those whose latest measurement is ``ok``."""
        return {process for process, latest in self._outcomes.items() if latest.status is Status.OK}

    def append(self, measurement: Measurement) -> None:
        """Add a measurement; once this returns, it is on the disk.

        Raises:
            BadInput: It cannot be written (the disk is full, say); the file is as it was before.
        """
        text = line(measurement)
        if len(text) > LONGEST:
            raise BadInput(f"{self.path / MEASUREMENTS}: a measurement of {len(text):,} bytes is too long to be kept")
        left = memoryview(text + b"\n")
        with os_errors(f"cannot write to {self.path / MEASUREMENTS}"):
            if self._file.seek(0, SEEK_END) != self._whole_bytes:  # what failed could not be taken back then
                self._file.truncate(self._whole_bytes)
            try:
                while left:
                    left = left[self._file.write(left) :]
                os.fsync(self._file.fileno())
            except BaseException:
                with suppress(OSError):
                    self._file.truncate(self._whole_bytes)
                raise
        self._whole_bytes += len(text) + 1
        self._outcomes[measurement.key, measurement.repeat] = Outcome.of(measurement)

    def finish(self) -> None:
        """Note in the manifest what a cell cost besides its own work, now that all are measured."""
        samples = [seconds for each in self.latest() for seconds in each.metrics.get("overhead_seconds", ())]
        if samples:
            self.manifest = self.manifest.model_copy(update={"overhead_seconds_median": median(samples)})
            _write_manifest(self.path, self.manifest)

    def close(self) -> None:
        """Let other writers in."""
        self._unlock()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_run(path: Path, manifest: Manifest) -> Run:
    """Begin a run in a new or empty folder, or continue the one that is there; no other writer is let in meanwhile.

    A run continues where suite and machine are the same. It keeps its manifest, with the newly planned cells added,
    and drops what an interrupted write left behind.

    Args:
        path: The run directory; created, with its parents, where it is missing.
        manifest: What is to be run.

    Raises:
        BadInput: The folder holds something else, a run of another suite or machine, or a damaged one; it is in use;
            it cannot be written to. Nothing is written then.
    """
    with os_errors(f"cannot write to {path}"):
        _stored_manifest(path, manifest)
        make_lasting_folder(path)
        file = _open_to_append(path / MEASUREMENTS)
        try:
            unlock = lock(file, path)
        except BaseException as error:
            file.close()
            if isinstance(error, OSError):
                _remove_if_begun(path)
            raise
        try:
            return _opened(path, manifest, file, unlock)
        except BaseException:
            unlock()
            file.close()
            raise


def load_run(path: Path) -> LoadedRun:
    """Read a run without locking it or changing anything; it may be being written meanwhile.

    Raises:
        BadInput: There is no run, it is damaged or of a newer schema, or it holds no measurements.
    """
    with os_errors(f"cannot read {path}"):
        if not path.is_dir():
            raise BadInput(f"{path}: {'not a folder' if path.exists() else 'no such folder'}")
        if not (path / MANIFEST).exists():
            raise BadInput(f"{path}: holds no run ({MANIFEST} is missing)")
        manifest = _read_manifest(path)
        lines = _read_lines(path, manifest, Judge.measurement)
    if not lines.latest:
        why = f" to be taken in ({lines.left_out[0]})" if lines.left_out else " yet"
        raise BadInput(f"{path}: holds no measurements{why}")
    planned = len(set(manifest.planned)) * manifest.repeats
    missing = planned - len(lines.latest)
    what = "planned cells" if manifest.repeats == 1 else "planned processes"
    notices = [f"{missing} of {planned} {what} have no measurement"] if missing else []
    notices += lines.notices(path / MEASUREMENTS)
    if lines.torn:
        notices.append(f"{path / MEASUREMENTS}: the last line is incomplete and was left out")
    order = {key: place * manifest.repeats for place, key in enumerate(manifest.planned)}
    processes = sorted(lines.latest.values(), key=lambda each: order[each.key] + each.repeat)
    return LoadedRun(path, manifest, processes, notices)


def _opened(path: Path, manifest: Manifest, file: FileIO, unlock: Callable[[], None]) -> Run:
    stored = _stored_manifest(path, manifest)  # again: another writer may have come and gone before the lock was ours
    remove_remnants(path)
    notices: list[str] = []
    if stored is not None:
        if stored.git_revision != manifest.git_revision:
            notices.append(f"{path}: begun at git revision {stored.git_revision}, goes on at {manifest.git_revision}")
        planned = list(dict.fromkeys([*stored.planned, *manifest.planned]))
        repeats = max(stored.repeats, manifest.repeats)
        manifest = stored.model_copy(update={"planned": planned, "repeats": repeats})
    lines = _read_lines(path, manifest, Judge.outcome)
    notices += lines.notices(path / MEASUREMENTS)
    if lines.torn:
        file.truncate(lines.whole_bytes)
        notices.append(f"{path / MEASUREMENTS}: the last line was incomplete and was cut off")
    if manifest != stored:
        _write_manifest(path, manifest)
    return Run(path, manifest, file, lines.latest, notices, unlock)


def _stored_manifest(path: Path, wanted: Manifest) -> Manifest | None:
    """The manifest of the run that ``wanted`` may continue; None where a run can begin."""
    if not path.exists():
        return None
    if not path.is_dir():
        raise BadInput(f"{path} is not a folder; choose another --out")
    if not (path / MANIFEST).exists():
        if any(not _left_by_an_aborted_start(entry) for entry in path.iterdir()):
            raise BadInput(f"{path} is not empty and holds no run; choose another --out")
        return None
    stored = _read_manifest(path)
    if not stored.tells_defaults:
        older = f"schema {stored.schema_version}, whose cells do not tell the defaults they were measured with"
        raise BadInput(f"{path} was made by an earlier imaml-bench ({older}); choose another --out")
    if stored.suite.name != wanted.suite.name:
        made_for = f"for suite '{stored.suite.name}', not '{wanted.suite.name}'"
    elif stored.suite.digest != wanted.suite.digest:
        made_for = f"for suite '{stored.suite.name}' as it was before its file changed"
    elif stored.machine != wanted.machine and (options := _options_to_add(stored.machine, wanted.machine)):
        raise BadInput(f"{path} was made with {options}; add that, or choose another --out")
    elif stored.machine != wanted.machine:
        made_for = f"on another machine ({_differences(stored.machine, wanted.machine)})"
    else:
        return stored
    raise BadInput(f"{path} was made {made_for}; choose another --out")


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    manifest = parsed(Manifest, content(file, LARGEST_MANIFEST), str(file), SCHEMA_VERSION)
    try:
        require_time("created_at", manifest.created_at)
    except BadInput as error:
        raise BadInput(f"{file}: damaged ({error})") from None
    return manifest


def _left_by_an_aborted_start(entry: Path) -> bool:
    return is_remnant(entry) or entry.name == LOCK or (entry.name == MEASUREMENTS and entry.stat().st_size == 0)


_OPTIONS = ("device", "threads")
"""What of a machine the user chooses."""
_OF_THE_DEVICE = ("device_name", "device_uuid", "device_memory_bytes", "driver")


def _options_to_add(there: Machine, here: Machine) -> str | None:
    """The options with which this machine would be the one over there; ``None`` where that is another."""
    differing = _differing(there, here)
    follows = {*_OPTIONS, *_OF_THE_DEVICE} if "device" in differing else {*_OPTIONS}
    if not set(differing) <= follows:
        return None
    return " ".join(f"--{name} {getattr(there, name)}" for name in _OPTIONS if name in differing)


def _differences(there: Machine, here: Machine) -> str:
    return "; ".join(f"{name}: {its} there, {ours} here" for name, (its, ours) in _differing(there, here).items())


def _differing(there: Machine, here: Machine) -> dict[str, tuple[object, object]]:
    ours = here.model_dump()
    return {name: (its, ours[name]) for name, its in there.model_dump().items() if its != ours[name]}


Taken = TypeVar("Taken", Measurement, Outcome)

NOTICED = 5
"""Lines left out of which the reasons are told one by one."""


@dataclass(frozen=True)
class _Lines(Generic[Taken]):
    latest: dict[Process, Taken]
    whole_bytes: int
    torn: bool
    """Something follows the last whole line."""
    left_out: list[str]
    """Of the first lines that were not taken in, which and why."""
    count_left_out: int

    def notices(self, file: Path) -> list[str]:
        """What to tell of the lines left out."""
        others = self.count_left_out - len(self.left_out)
        more = [f"{file}: {count_of(others, 'more line')} left out"] if others else []
        return [f"{file}, {each}; left out" for each in self.left_out] + more


def _read_lines(path: Path, manifest: Manifest, take: Callable[[Judge, bytes | None], Taken]) -> _Lines[Taken]:
    """The lines of a run as ``take`` has them; any that is to be left out is."""
    file = path / MEASUREMENTS
    latest: dict[Process, Taken] = {}
    ended_well: dict[Process, int] = {}
    left_out: list[str] = []
    count = whole_bytes = size = 0
    judge = Judge(manifest)
    if file.exists() or file.is_symlink():
        with opened(file, LARGEST_RUN) as stream, _without_collector(os.fstat(stream.fileno()).st_size):
            for number, (end, text) in enumerate(whole_lines(stream), start=1):
                whole_bytes = end
                try:
                    found = take(judge, text)
                    process = found.key, found.repeat
                    if process in ended_well:
                        raise BadInput(f"line {ended_well[process]} has the same process, which had ended well")
                except BadInput as error:
                    count += 1
                    left_out += [f"line {number}: {error}"] if count <= NOTICED else []
                    continue
                latest[process] = found
                if found.status is Status.OK:
                    ended_well[process] = number
            size = stream.tell()
    return _Lines(latest, whole_bytes, whole_bytes < size, left_out, count)


@contextmanager
def _without_collector(size: int) -> Generator[None]:
    """The collector of cycles paused: there are none in what is read, and it would go over all of it many times."""
    if size <= LARGE_BYTES:
        yield
        return
    was_enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    try:
        yield
    finally:
        if not frozen:  # moves what was read to the oldest generation without a look at it
            gc.freeze()
            gc.unfreeze()
        if was_enabled:
            gc.enable()


def _write_manifest(path: Path, manifest: Manifest) -> None:
    with os_errors(f"cannot write to {path}"):
        replace(path / MANIFEST, manifest.model_dump_json(indent=2).encode() + b"\n")


def _remove_if_begun(path: Path) -> None:
    """Remove an empty file of measurements that no manifest goes with."""
    file = path / MEASUREMENTS
    if not (path / MANIFEST).exists() and not file.stat().st_size:
        file.unlink()


def _open_to_append(path: Path) -> FileIO:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise BadInput(f"{path}: not a file")
    return FileIO(path, "a")
