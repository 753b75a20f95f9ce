"""What a run was: the suite, the machine and the software, as stored in ``manifest.json``."""

from pydantic import Field

from harness.cell import RESOLVED_SINCE, SCHEMA_VERSION, Model
from harness.checks import MOST_REPEATS
from harness.expectation import Expectation


class SuiteIdentity(Model):
    """Which suite the run measures."""

    name: str
    title: str
    digest: str
    """SHA-256 of the suite file's text."""


class Machine(Model):
    """What the numbers depend on: a run continues only where all of this is the same."""

    system: str
    processor: str
    logical_cores: int = Field(gt=0)
    memory_bytes: int = Field(ge=0)
    device: str
    """``cpu`` or ``cuda:I``."""
    device_name: str
    device_uuid: str | None = None
    device_memory_bytes: int | None = Field(default=None, ge=0)
    driver: str | None = None
    threads: int = Field(gt=0)
    python: str
    torch: str
    harness: str


class Provenance(Model):
    """What else may move the numbers, as the workers see it; a run continues whatever it says."""

    software: dict[str, str]
    """Versions, by name."""
    settings: dict[str, str]
    """Of torch, the processors and the kernel, by name; the reason in words where one is not known."""
    environment: dict[str, str]
    """The variables that matter and are set; no others."""


class Manifest(Model):
    """``manifest.json`` of a run directory."""

    schema_version: int = SCHEMA_VERSION
    suite: SuiteIdentity
    machine: Machine
    created_at: str
    """UTC, ISO 8601."""
    command: list[str]
    git_revision: str | None = None
    git_dirty: bool | None = None
    planned: list[str]
    """Keys of the cells this run is to hold, in order."""
    repeats: int = Field(default=1, ge=1, le=MOST_REPEATS)
    """In how many processes each cell is measured."""
    expectations: tuple[Expectation, ...] = ()
    """What the suite claims of the numbers; empty in runs from before version 3."""
    software: dict[str, str] = Field(default_factory=dict[str, str])
    settings: dict[str, str] = Field(default_factory=dict[str, str])
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    """As in :class:`Provenance`; empty in runs from before version 3."""
    overhead_seconds_median: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Median time a cell cost besides its own work, over all cells of the run; known once the run has ended."""

    @property
    def tells_defaults(self) -> bool:
        """Whether the run's cells hold the defaults they were measured with."""
        return self.schema_version >= RESOLVED_SINCE
