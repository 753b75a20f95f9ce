"""A cell (one point of the grid) and its measurement, as they are stored.

Nothing here imports torch: reports, comparisons and listings read these without it.
"""

import hashlib
import json
import math
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from harness.checks import LARGEST, LONGEST_SECONDS, MOST, MOST_REPEATS, Dtype

SCHEMA_VERSION = 4
"""Version of the stored cell, measurement and manifest.

1: the first. 2: cells say which studies of their suite they belong to. 3: times are taken until they are precise, a
cell may be measured in several processes, measurements have notes, manifests the software and its settings. 4: cells
hold every parameter of their problem and estimator, the defaults too, and so do their keys.
"""
RESOLVED_SINCE = 4
"""Version from which on a cell holds the defaults it was measured with."""

Scalar: TypeAlias = bool | int | float | str
Value: TypeAlias = Scalar | list[Scalar]
Pass: TypeAlias = Literal["memory", "counters", "time", "phases", "accuracy"]
Reference: TypeAlias = Literal["backprop", "implicit"]


class Model(BaseModel):
    """Immutable, closed to unknown keys; non-finite numbers survive JSON as strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", use_attribute_docstrings=True)


class Part(Model):
    """A named part with its parameters: a problem or an estimator."""

    name: str
    parameters: dict[str, Value] = {}
    """Every one of them, the defaults filled in, so that two parts of the same parameters are the same computation.
    Those the suite gave and no others in runs from before version 4, and of a part that does not tell its defaults."""
    given: dict[str, Value] | None = None
    """Those the suite gave, as it wrote them; null where ``parameters`` are these. Not part of the key."""

    def __eq__(self, other: object) -> bool:
        """Whether both compute the same, however the suite wrote them."""
        return isinstance(other, Part) and (self.name, self.parameters) == (other.name, other.parameters)

    def __hash__(self) -> int:
        values = ((key, tuple(value) if isinstance(value, list) else value) for key, value in self.parameters.items())
        return hash((self.name, frozenset(values)))

    @property
    def stated(self) -> dict[str, Value]:
        """The parameters the suite gave: what words and labels say of the part."""
        return self.parameters if self.given is None else self.given

    def completed(self, parameters: dict[str, Value]) -> "Part":
        """The part with all of its parameters, remembering which of them the suite gave."""
        alike = json.dumps(parameters) == json.dumps(self.stated)
        return Part(name=self.name, parameters=parameters, given=None if alike else self.stated)

    @property
    def content(self) -> str:
        """What is computed, as one text: the same of equal parts, another of parts that differ."""
        return _canonical({"name": self.name, "parameters": self.parameters})

    @property
    def words(self) -> str:
        """The name with the parameters the suite gave: ``linear (dim=50, kappa=100.0)``."""
        parameters = ", ".join(f"{name}={value}" for name, value in self.stated.items())
        return f"{self.name} ({parameters})" if parameters else self.name

    def only(self, names: Container[str]) -> "Part":
        """The part with no other parameters than these, whether the suite gave them or not."""
        all_of_them = self.parameters | self.stated
        return Part(name=self.name, parameters={k: v for k, v in all_of_them.items() if k in names})

    def without(self, name: str) -> "Part":
        """The part without one of its parameters."""
        parameters = {k: v for k, v in self.parameters.items() if k != name}
        given = None if self.given is None else {k: v for k, v in self.given.items() if k != name}
        return Part(name=self.name, parameters=parameters, given=given)


def varied(parts: Iterable[Part]) -> list[str]:
    """Names of the parameters in which parts of one name differ."""
    first: dict[str, Part] = {}
    names: dict[str, None] = {}
    for part in parts:
        one, other = first.setdefault(part.name, part).parameters, part.parameters
        names |= dict.fromkeys(name for name in one | other if one.get(name) != other.get(name))
    return list(names)


class Study(Model):
    """A study of the suite that a cell belongs to. A cell of several is measured once."""

    title: str
    x: str = "steps"
    """What the study is drawn over: ``steps``, ``evaluations``, or a parameter of its problem or estimators."""
    label: str
    """What the study calls the cell's estimator."""


class Cell(Model):
    """One point of the grid: everything that determines what is measured, and nothing else but labels and limits."""

    problem: Part
    estimator: Part
    """The estimator without ``steps``, with its inner solver, learning rate and proximal strength."""
    label: str
    """What figures and tables call the estimator; not part of the key."""
    steps: int = Field(gt=0, le=MOST)
    """K, inner steps."""
    tasks: int = Field(default=1, gt=0, le=MOST)
    """Tasks in the meta-batch; the meta-gradient is their mean."""
    dtype: Dtype = "float32"
    device: str = "cpu"
    """``cpu`` or ``cuda:I``."""
    threads: int = Field(default=1, gt=0, le=MOST)
    """CPU threads torch may use."""
    seed: int = Field(default=0, ge=0, le=LARGEST)
    draws: int = Field(default=1, gt=0, le=MOST)
    """Accuracy is measured on problems and tasks of this many seeds: seed, seed + 1, …"""
    measure: tuple[Pass, ...] = ("memory", "counters", "time", "phases")
    references: tuple[Reference, ...] = ()
    """What accuracy is measured against: exact backprop through the K steps, the exact implicit gradient."""
    min_samples: int = Field(default=3, gt=0, le=MOST)
    """Fewest timed repetitions."""
    min_seconds: float = Field(default=0.2, ge=0, le=LONGEST_SECONDS)
    """Repeat until the timed repetitions add up to this, …"""
    max_seconds: float = Field(default=2.0, ge=0, le=LONGEST_SECONDS)
    """… and, while the median is not precise, until they add up to this."""
    precision: float = Field(default=0.02, gt=0, le=1)
    """Half the width of the median's 95 % interval, relative to it, that is precise enough."""
    time_limit_seconds: float = Field(default=600.0, gt=0, le=LONGEST_SECONDS)
    """The worker is killed after this long; not part of the key."""
    studies: tuple[Study, ...] = ()
    """The suite's studies that hold the cell, where it has several; not part of the key."""

    @property
    def point(self) -> str:
        """Where it is on the grid, in short: ``K=4``, or ``K=4, 16 tasks``."""
        return f"K={self.steps}" if self.tasks == 1 else f"K={self.steps}, {self.tasks} tasks"

    @property
    def family(self) -> str:
        """What the cell has in common with those that differ from it in nothing but K."""
        return self.model_copy(update={"steps": 1}).key

    @cached_property
    def key(self) -> str:
        """Hash of the content, 16 hexadecimal digits."""
        return _hashed(_content(self, Cell.model_fields))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's: the copy has a key of its own."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop("key", None)
        return copied

    @property
    def stored_key(self) -> str:
        """The key it has by what was stored of it: a cell of an older schema has fewer fields."""
        return _hashed(_content(self, self.model_fields_set))

    def stated(self, name: str) -> Value | None:
        """A parameter the suite gave its problem or its estimator; None where it gave none of that name."""
        return self.problem.stated.get(name, self.estimator.stated.get(name))

    def as_stated(self) -> "Cell":
        """The cell as runs from before version 4 hold it: with the parameters the suite gave, and no defaults."""
        parts = {name: getattr(self, name) for name in ("problem", "estimator")}
        bare = {name: Part(name=part.name, parameters=part.stated) for name, part in parts.items()}
        return self.model_copy(update=bare)

    def seen_as(self, other: "Cell") -> "Cell":
        """This cell of several studies: what another one of the same key states and belongs to, in addition."""
        parts = {name: _stating(getattr(self, name), getattr(other, name)) for name in ("problem", "estimator")}
        return self.model_copy(update={**parts, "studies": (*self.studies, *other.studies)})


_NOT_IN_THE_KEY = {"label", "time_limit_seconds", "studies", "given"}
_encoded = json.JSONEncoder(sort_keys=True).encode


def _content(model: Model, fields: Container[str]) -> dict[str, Any]:
    """Those of the fields that the key is of."""
    held = {name: value for name, value in model.__dict__.items() if name in fields and name not in _NOT_IN_THE_KEY}
    for name in ("problem", "estimator"):
        if name in held:
            held[name] = {"name": held[name].name, "parameters": held[name].parameters}
    return held


def _canonical(content: object) -> str:
    return _encoded(content)


def _hashed(content: object) -> str:
    return hashlib.sha256(_encoded(content).encode()).hexdigest()[:16]


def _stating(part: Part, other: Part) -> Part:
    if part.given is None:
        return part
    return part.model_copy(update={"given": {**other.stated, **part.given}})


class Status(StrEnum):
    """How a cell ended. A failure is a result: stored, shown, and retried on the next run."""

    OK = "ok"
    OOM = "oom"
    """An allocation failed."""
    TIMEOUT = "timeout"
    CRASH = "crash"
    """An exception, or the worker died of a signal."""
    DIVERGED = "diverged"
    """The meta-gradient is not finite, or its linear solve came to nothing."""
    SKIPPED = "skipped"


class Measurement(Model):
    """What became of a cell."""

    schema_version: int = SCHEMA_VERSION
    key: str
    repeat: int = Field(default=0, ge=0, lt=MOST_REPEATS)
    """Which of the cell's processes this is, from 0."""
    status: Status
    reason: str | None = None
    """Why, in one line, where the status is not ``ok``."""
    started_at: str
    """UTC, ISO 8601."""
    cell: Cell
    notes: dict[str, str] = {}
    """By metric: why it has no number, or what is to be known about it."""
    metrics: dict[str, list[float]] = {}
    """Every sample, by metric; the names are those of :data:`METRICS`. A failed cell keeps what it had measured."""

    @property
    def ending(self) -> str:
        """The status, with the reason where there is one."""
        return f"{self.status}: {self.reason}" if self.reason else str(self.status)


MATH_ATTENTION = (
    "attention is computed by PyTorch's math kernel where it is differentiated twice or batched by torch.func.vmap, "
    "for which the fused kernels have no rule"
)
"""The note on ``peak_bytes`` of a cell whose memory it changes."""


@dataclass(frozen=True)
class Range:
    """What values a number can have: finite ones, and none below 0, where nothing else is said."""

    least: float = 0.0
    most: float = sys.float_info.max
    whole: bool = False
    nan: bool = False

    def fault(self, values: Iterable[float]) -> str | None:
        """Why one of the values cannot be; None where all can."""
        least, most = self.least, self.most
        for value in values:
            if not least <= value <= most and not (self.nan and math.isnan(value)):
                return f"{value!r} is not between {least:g} and {most:g}"
            if self.whole and not value.is_integer():
                return f"{value!r} is not a whole number"
        return None


_COUNT = Range(0, 2**63, whole=True)
_GROWTH = Range(-(2**63), 2**63, whole=True)
_FLAG = Range(0, 1, whole=True)
_SHARE = Range(0, 1)
_RATIO = Range(0, math.inf, nan=True)
_COSINE = Range(-1 - 1e-6, 1 + 1e-6, nan=True)
_ANY = Range(-math.inf, math.inf, nan=True)
_OF_UNIT = {
    "B": _COUNT,
    "FLOP": _COUNT,
    "s": Range(),
    "J": Range(),
    "Hz": Range(),
    "°C": Range(-274, 10_000),
    "1": _ANY,
}
"""Where the metric does not say otherwise."""


@dataclass(frozen=True)
class Metric:
    """What a measured number is."""

    unit: str
    meaning: str
    deterministic: bool
    """The same number at every run on the same software: fit for a gate."""
    passes: tuple[Pass, ...] = ()
    """Those that measure it, any one of them; empty where it comes whatever the passes."""
    reference: Reference | None = None
    """The reference it is measured against."""
    detail: bool = False
    """Left out of the page's tables, whose readers it would keep from the rest; every export has it."""
    range: Range | None = None
    """Its values, where its unit does not say them."""

    def fault(self, samples: Sequence[float]) -> str | None:
        """Why these cannot be its samples; None where they can."""
        if not samples:
            return "the series is empty"
        return (self.range or _OF_UNIT[self.unit]).fault(samples)


def _accuracy(reference: Reference) -> dict[str, Metric]:
    meanings = {
        "relative_error": f"‖g − g_ref‖ / ‖g_ref‖ in float64 against the {reference} reference, a sample a seed",
        "cosine": f"cosine similarity to the {reference} reference, in float64",
        "norm_ratio": f"‖g‖ / ‖g_ref‖ against the {reference} reference, in float64",
    }
    return {
        f"{reference}_{name}": Metric(
            "1", meaning, True, ("accuracy",), reference, range=_COSINE if name == "cosine" else _RATIO
        )
        for name, meaning in meanings.items()
    }


METRICS: dict[str, Metric] = {
    "wall_seconds": Metric(
        "s", "wall time of one meta-gradient of the meta-batch, device synchronised", False, ("time",)
    ),
    "process_seconds": Metric(
        "s", "median wall time in each process, where a cell is measured in several", False, ("time",)
    ),
    "warmup_seconds": Metric(
        "s", "wall time of the calls that came before, until two halves of them agreed", False, ("time",), detail=True
    ),
    "cuda_seconds": Metric("s", "time of the same between two CUDA events", False, ("time",)),
    "cuda_cold_seconds": Metric("s", "the same with the L2 cache flushed before each call", False, ("time",)),
    "suspect": Metric(
        "1",
        "1 for a timed call during which the GPU throttled or was shared",
        False,
        ("time",),
        detail=True,
        range=_FLAG,
    ),
    "step_size_seconds": Metric(
        "s", 'time of choosing lr = "auto", in a pass of its own', False, ("phases",), detail=True
    ),
    "inner_seconds": Metric("s", "time of the inner loop, in a pass of its own", False, ("phases",), detail=True),
    "query_seconds": Metric(
        "s",
        "time of the outer loss, and of its gradient where that is a phase by itself",
        False,
        ("phases",),
        detail=True,
    ),
    "backward_seconds": Metric("s", "time of the walk back through the inner loop", False, ("phases",), detail=True),
    "linear_seconds": Metric("s", "time of the implicit method's linear solve", False, ("phases",), detail=True),
    "step_seconds": Metric(
        "s", "time of each inner step in its order, the first call's first", False, ("phases",), detail=True
    ),
    "peak_bytes": Metric(
        "B", "allocator's peak over the baseline (data and θ in place) during one meta-gradient", True, ("memory",)
    ),
    "forecast_peak_bytes": Metric(
        "B", "the same as forecast from fake tensors, before anything was run", True, ("memory",)
    ),
    "requested_bytes": Metric(
        "B",
        "peak of the bytes asked of the allocator, before rounding to blocks (CUDA)",
        True,
        ("memory",),
        detail=True,
    ),
    "reserved_bytes": Metric(
        "B", "growth of the allocator's peak reservation on the device (CUDA)", False, ("memory",), detail=True
    ),
    "baseline_bytes": Metric(
        "B", "allocator's live bytes before the meta-gradient (CUDA)", True, ("memory",), detail=True
    ),
    "retained_bytes": Metric(
        "B",
        "live bytes after each of several calls with its result dropped, less those before: growth is a leak",
        True,
        ("memory",),
        detail=True,
        range=_GROWTH,
    ),
    "alloc_retries": Metric(
        "1",
        "times the allocator had to empty its cache to serve a request (CUDA)",
        False,
        ("memory",),
        detail=True,
        range=_COUNT,
    ),
    "device_bytes": Metric(
        "B",
        "growth of what the driver says is in use on the device, by anyone (NVML)",
        False,
        ("memory",),
        range=_GROWTH,
    ),
    "process_bytes": Metric("B", "what the driver says this process holds on the device (NVML)", False, ("memory",)),
    "rss_peak_bytes": Metric(
        "B", "growth of the process's peak resident memory over its baseline, host side", False, ("memory",)
    ),
    "rss_watched_bytes": Metric(
        "B",
        "the same as memory-profiler sees it from outside, every 10 ms: at most the peak",
        False,
        ("memory",),
        detail=True,
    ),
    "energy_joules": Metric(
        "J",
        "energy the device drew for one meta-gradient, in windows of seconds that agree to 5 % (NVML)",
        False,
        ("time",),
    ),
    "flops": Metric(
        "FLOP",
        "floating point operations of matrix products and convolutions in one meta-gradient",
        True,
        ("counters",),
    ),
    "gradient_count": Metric("1", "gradients of the inner or outer loss evaluated", True, ("counters",), range=_COUNT),
    "hvp_count": Metric("1", "Hessian-vector products evaluated", True, ("counters",), range=_COUNT),
    "step_size_hvp_count": Metric(
        "1", 'Hessian-vector products spent on choosing lr = "auto"', True, ("counters",), detail=True, range=_COUNT
    ),
    "query_loss": Metric("1", "outer loss at φ_K", True, range=_ANY),
    "inner_residual": Metric("1", "‖∇G(φ_K)‖ / ‖∇G(θ)‖, in float64", True, ("accuracy",), range=_RATIO),
    "linear_residual": Metric(
        "1", "‖b − Bx‖ / ‖b‖ of the implicit method's linear system, in float64", True, ("accuracy",), range=_RATIO
    ),
    "negative_curvature": Metric(
        "1",
        "1 where CG met a direction of negative curvature: the method's premise fails",
        True,
        ("accuracy",),
        range=_FLAG,
    ),
    "smallest_curvature": Metric(
        "1",
        "smallest eigenvalue of H + λI at φ_K, estimated from below by Lanczos; has to be above 0",
        True,
        ("accuracy",),
        range=_ANY,
    ),
    **_accuracy("backprop"),
    **_accuracy("implicit"),
    "rounding_relative_error": Metric(
        "1",
        "‖g − g_64‖ / ‖g_64‖: the same estimator in the cell's dtype against itself in float64",
        True,
        ("accuracy",),
        range=_RATIO,
    ),
    "load_average": Metric(
        "1",
        "runnable processes over the last minute, as the timed calls began",
        False,
        ("time",),
        detail=True,
        range=Range(),
    ),
    "steal_share": Metric(
        "1",
        "share of the machine's CPU time the hypervisor gave to others meanwhile",
        False,
        ("time",),
        detail=True,
        range=_SHARE,
    ),
    "foreign_share": Metric(
        "1",
        "share of the machine's CPU time other processes took meanwhile",
        False,
        ("time",),
        detail=True,
        range=_SHARE,
    ),
    "sm_clock_hertz": Metric(
        "Hz", "clock of the device's multiprocessors after each timed call (NVML)", False, ("time",), detail=True
    ),
    "temperature_celsius": Metric(
        "°C", "the device's temperature after each timed call (NVML)", False, ("time",), detail=True
    ),
    "overhead_seconds": Metric(
        "s", "time the harness spent on the cell besides the cell's own work", False, detail=True
    ),
}
"""Every metric a measurement may hold."""


def metric_of(name: str) -> Metric:
    """What the metric is; of one this version does not know, a number without unit."""
    known = METRICS.get(name)
    return Metric("1", name, deterministic=False) if known is None else known
