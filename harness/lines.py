"""The lines of ``measurements.jsonl``: written with a digest, and judged one by one when they are read.

What a line says is taken in where it is whole, of strict types and within the bounds of its metrics, where the cell is
the one its key is the hash of, and where the run's plan has that cell. Any other line is left out, with the reason.

A line that still has the digest it was written with is as this program wrote it, and needs none of that but the plan.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from io import BufferedReader
from typing import NamedTuple, TypeAlias, TypeVar

from harness.cell import SCHEMA_VERSION, Measurement, Status, metric_of
from harness.errors import BadInput
from harness.manifest import Manifest
from harness.versions import parsed

M = TypeVar("M", "Measurement", "Outcome")

Process: TypeAlias = tuple[str, int]
"""A cell's key, and which of its processes."""

LONGEST = 64_000_000
"""Most bytes of a line."""

_DIGEST = b',"digest":"'
_TAIL = len(_DIGEST) + 16 + len(b'"}')
_BEGIN = re.compile(
    rb'\{"schema_version":%d,"key":"([0-9a-f]{16})","repeat":(\d{1,9}),"status":"(%s)",'
    % (SCHEMA_VERSION, b"|".join(each.encode() for each in Status))
)
"""How :func:`line` begins."""
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)")


def line(measurement: Measurement) -> bytes:
    """The measurement as a line, without the line's end."""
    content = measurement.model_dump_json().encode()
    return content[:-1] + _DIGEST + _digest(content) + b'"}'


def whole_lines(file: BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """Of each line that has its end, where that is in the file, and the line; none of one longer than may be."""
    end = 0
    while text := file.readline(LONGEST + 1):
        length, part = len(text), text
        while part and not part.endswith(b"\n"):
            part = file.readline(LONGEST + 1)
            length += len(part)
            text = b""
        if not part:
            return
        end += length
        yield end, text[:-1] if text else None


class Outcome(NamedTuple):
    """How a process of a cell ended: what has to be known to go on with a run."""

    key: str
    repeat: int
    status: Status

    @classmethod
    def of(cls, measurement: Measurement) -> "Outcome":
        """That of a measurement."""
        return cls(measurement.key, measurement.repeat, measurement.status)


class Judge:
    """Takes lines of a run in, or says why not."""

    def __init__(self, manifest: Manifest) -> None:
        self._planned = frozenset(manifest.planned)
        self._repeats = manifest.repeats

    def measurement(self, text: bytes | None) -> Measurement:
        """What a line says, given as by :func:`whole_lines`.

        Raises:
            BadInput: The reason to leave it out.
        """
        bare = _without_digest(text)
        found = parsed(Measurement, bare or text or b"", "", SCHEMA_VERSION, strict=bare is None)
        if bare is None:
            _require_own_key(found)
            _require_sound(found)
        return self._planned_alone(found)

    def outcome(self, text: bytes | None) -> Outcome:
        """How the process ended that a line is of; much quicker to tell where the line still has its digest.

        Raises:
            BadInput: The reason to leave it out.
        """
        bare = _without_digest(text)
        begin = _BEGIN.match(bare) if bare else None
        if begin is None:
            return Outcome.of(self.measurement(text))
        key, repeat, status = begin.groups()
        return self._planned_alone(Outcome(key.decode(), int(repeat), Status(status.decode())))

    def _planned_alone(self, found: M) -> M:
        if found.key not in self._planned:
            raise BadInput(f"the run's plan has no cell {found.key}")
        if found.repeat >= self._repeats:
            raise BadInput(f"process {found.repeat} of a run of {self._repeats}")
        return found


def require_time(name: str, text: str) -> None:
    """A moment of UTC as ISO 8601 writes it.

    Raises:
        BadInput: It is not.
    """
    try:
        datetime.fromisoformat(text).astimezone(UTC)
        known = _UTC.fullmatch(text) is not None
    except (ValueError, OverflowError):
        known = False
    if not known:
        raise BadInput(f"{name}: {json.dumps(text)[:60]} is not a time in UTC such as 2026-01-31T12:00:00+00:00")


def _without_digest(text: bytes | None) -> bytes | None:
    """The line as it was before its digest was added to it; None where it has none.

    Raises:
        BadInput: It has another line's, or the line is too long.
    """
    if text is None:
        raise BadInput(f"longer than the {LONGEST:,} bytes that a line may have")
    if not text.startswith(_DIGEST, -_TAIL):
        return None
    content = text[:-_TAIL] + b"}"
    if _digest(content) + b'"}' != text[-18:]:
        raise BadInput("it was changed after it was written: its digest is another")
    return content


def _digest(content: bytes) -> bytes:
    return sha256(content).hexdigest()[:16].encode()


def _require_own_key(found: Measurement) -> None:
    if found.cell.stored_key != found.key:
        raise BadInput(f"its cell is not the one of its key {found.key}: one of them was changed")


def _require_sound(found: Measurement) -> None:
    require_time("started_at", found.started_at)
    measured = False
    for name, samples in found.metrics.items():
        metric = metric_of(name)
        if reason := metric.fault(samples):
            raise BadInput(f"metrics.{name}: {reason}")
        measured = measured or any(each in found.cell.measure for each in metric.passes)
    if found.status is Status.OK and not measured:
        raise BadInput(f"it says ok, but has no metric of the passes {', '.join(found.cell.measure)}")
