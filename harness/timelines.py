"""Memory over time of single cells, as it is stored in a run's ``traces`` folder.

Nothing here imports torch: a report reads timelines without it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from harness.cell import Cell, Model
from harness.errors import BadInput, os_errors
from harness.files import replace
from harness.versions import content, parsed

SCHEMA_VERSION = 1
"""Version of the stored timeline. 1: the first."""
TRACES = "traces"
"""The folder, within a run's."""
ENDING = ".timeline.json"
MAX_POINTS = 4_000
MAX_FILE_BYTES = 16_000_000

_Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0)]
_Bytes = Annotated[int, Field(gt=-(2**63), lt=2**63)]


class Phase(Model):
    """A stretch of the call, under the name the estimator gives it."""

    name: str
    start_seconds: _Seconds
    end_seconds: _Seconds

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.end_seconds < self.start_seconds:
            raise ValueError(f"phase '{self.name}' ends before it begins")
        return self


class Timeline(Model):
    """Live bytes of the allocator during one meta-gradient of a cell; times are in seconds since it began."""

    schema_version: int = SCHEMA_VERSION
    key: str
    """The cell's."""
    label: str
    """What figures call the estimator."""
    steps: int = Field(gt=0)
    """K, inner steps."""
    seconds: tuple[_Seconds, ...] = Field(min_length=1, max_length=MAX_POINTS)
    """Ascending."""
    live_bytes: tuple[_Bytes, ...]
    """Live bytes from each of these times on, less those live before the call."""
    phases: tuple[Phase, ...] = ()
    """In the order in which they began; one within another comes after it."""

    @model_validator(mode="after")
    def _is_a_function_of_time(self) -> Self:
        if len(self.seconds) != len(self.live_bytes):
            raise ValueError(f"{len(self.seconds)} times, but {len(self.live_bytes)} numbers of bytes")
        if any(later < earlier for earlier, later in zip(self.seconds, self.seconds[1:], strict=False)):
            raise ValueError("the times do not ascend")
        return self

    @classmethod
    def of(
        cls, cell: Cell, seconds: Sequence[float], live_bytes: Sequence[int], phases: Iterable[tuple[str, float, float]]
    ) -> Self:
        """The timeline of a cell from a recording of any length, thinned to what is stored."""
        seconds, live_bytes = thinned(seconds, live_bytes)
        named = tuple(Phase(name=name, start_seconds=start, end_seconds=end) for name, start, end in phases)
        return cls(
            key=cell.key, label=cell.label, steps=cell.steps, seconds=seconds, live_bytes=live_bytes, phases=named
        )

    @property
    def peak_bytes(self) -> int:
        """Highest number of live bytes."""
        return max(self.live_bytes)

    @property
    def peak_at_seconds(self) -> float:
        """When it is first reached."""
        return self.seconds[self.live_bytes.index(self.peak_bytes)]

    def write(self, folder: Path, stem: str) -> Path:
        """Write ``STEM.timeline.json`` into an existing folder; a reader meets the old file or the new one, whole."""
        path = folder / f"{stem}{ENDING}"
        replace(path, self.model_dump_json().encode() + b"\n")
        return path


def thinned(
    seconds: Sequence[float], live_bytes: Sequence[int], most: int = MAX_POINTS
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """At most ``most`` points that draw the same picture, all of them where there are no more.

    Time is cut into ``most // 4`` equal parts, and of each the first, lowest, highest and last point stay: every peak
    stays, and whatever level lasts longer than a part (the M4 aggregation of Jugel et al. 2014).

    Args:
        seconds: Times, ascending.
        live_bytes: As many values.
        most: At least 4.
    """
    kept: Iterable[int] = range(len(seconds))
    if len(seconds) > most:
        parts = most // 4
        width = (seconds[-1] - seconds[0]) / parts or 1.0
        members: dict[int, list[int]] = {}
        for index, at in enumerate(seconds):
            members.setdefault(min(int((at - seconds[0]) / width), parts - 1), []).append(index)
        kept = sorted(index for part in members.values() for index in _outline(part, live_bytes))
    return tuple(seconds[index] for index in kept), tuple(live_bytes[index] for index in kept)


def _outline(part: Sequence[int], values: Sequence[int]) -> set[int]:
    return {part[0], part[-1], min(part, key=values.__getitem__), max(part, key=values.__getitem__)}


def load_timelines(run: Path) -> list[Timeline]:
    """Read the timelines of a run directory, in the order of their file names; none where nothing was traced.

    Raises:
        BadInput: A file cannot be read, is damaged, too large, or of a newer schema; says which.
    """
    folder = run / TRACES
    with os_errors(f"cannot read {folder}"):
        return [_loaded(path) for path in sorted(folder.glob(f"*{ENDING}"))]


def _loaded(path: Path) -> Timeline:
    if not path.is_file():
        raise BadInput(f"{path}: not a file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadInput(f"{path}: larger than a timeline can be ({MAX_FILE_BYTES:,} bytes); trace the cell again")
    return parsed(Timeline, content(path, MAX_FILE_BYTES), str(path), SCHEMA_VERSION, "timeline schema")
