"""A metric over many runs, and where it stepped."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from harness.cell import METRICS, Cell, Measurement, Status
from harness.compare.amounts import JUDGED, has_grown
from harness.compare.finding import EVERY_METRIC
from harness.disturbance import taken_by_others
from harness.errors import BadInput, os_errors, unknown
from harness.exports.names import Named, named
from harness.manifest import Manifest
from harness.statistics import mad
from harness.statistics.series import SIGMA_OF_MAD, Array
from harness.store import MANIFEST, LoadedRun, load_run

MINIMUM_STEP = 0.10
"""Change, as a share, of a number that is not the same at every run of one code, that is worth telling."""
MINIMUM_LENGTH = 3
"""Runs between two steps of such a number, at least: the median of so many overlooks an outlier."""
DEPTH = 4
"""How deep below a folder that is given its runs may lie."""
PENALTY = 3.0
"""What a further step costs, in units of the noise times ln(runs)."""
LEAST_NOISE = 1e-4
"""Noise of a number that is the same at every run, as a share, …"""
LEAST_TIME_NOISE = 0.01
"""… and that of others, where a series shows less."""
HARDWARE = ("system", "processor", "logical_cores", "memory_bytes", "device", "device_name", "device_uuid", "threads")
"""Runs that differ in one of these make separate series; a new torch or driver is a step like any other."""


@dataclass(frozen=True)
class Point:
    """One run's number."""

    run: Path
    manifest: Manifest
    value: float
    """Median of the samples."""


@dataclass(frozen=True)
class Step:
    """Where a series changed for good."""

    index: int
    """Of the first point after it."""
    before: float
    """Median from the previous step, or the start, up to here."""
    after: float
    """Median from here to the next step, or the end."""


@dataclass(frozen=True)
class Series:
    """One metric of one cell on one machine, the oldest run first."""

    cell: Cell
    name: str
    setting: str
    metric: str
    points: list[Point]
    steps: list[Step]


def load_runs(folders: Iterable[Path]) -> tuple[list[LoadedRun], list[str]]:
    """The runs of the folders, each one itself a run or a folder of runs, in the order they were made.

    Runs may lie :data:`DEPTH` folders deep, though not within another run, in a hidden folder or behind a link to one.

    Returns:
        The runs, and why others were left out, a line each: one that is damaged keeps nobody from the rest.

    Raises:
        BadInput: A folder holds no run or cannot be read, or no run could be read.
    """
    found: dict[Path, LoadedRun] = {}
    left_out: dict[Path, str] = {}
    for folder in folders:
        for path in (below := list(_runs_in(folder, DEPTH))) or [folder]:
            try:
                found[path.resolve()] = load_run(path)
            except BadInput as error:
                if not below:
                    raise
                left_out[path.resolve()] = str(error)
    if not found:
        raise BadInput(next(iter(left_out.values()), "no folder of runs was given"))
    return sorted(found.values(), key=lambda run: run.manifest.created_at), [
        f"{why}; the run was left out" for why in left_out.values()
    ]


def histories(runs: Sequence[LoadedRun], metrics: Sequence[str] = ()) -> list[Series]:
    """Every cell's series of each metric, by default of those that can be better or worse.

    Raises:
        BadInput: A metric is not known.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS)
    all_tell_defaults = all(run.manifest.tells_defaults for run in runs)
    names: dict[str, Named] = {}
    points: dict[tuple[tuple[object, ...], str, str], list[Point]] = {}
    for run in runs:
        hardware, quiet = _hardware(run.manifest), _undisturbed(run)
        for each in named([run]):
            measurement, cell = each.measurement, each.measurement.cell
            key = cell.key if all_tell_defaults else cell.as_stated().key
            names[key] = each
            if measurement.status is not Status.OK:
                continue
            for metric in (each for each in metrics or EVERY_METRIC if each in measurement.metrics):
                values = _values(measurement, quiet.get(measurement.key, []), metric)
                if values:
                    point = Point(run.path, run.manifest, median(values))
                    points.setdefault((hardware, key, metric), []).append(point)
    return [
        Series(
            cell=(cell := names[key].measurement.cell),
            name=names[key].name,
            setting=names[key].setting,
            metric=metric,
            points=found,
            steps=find_steps(cell, metric, [each.value for each in found]),
        )
        for (_, key, metric), found in points.items()
    ]


def find_steps(cell: Cell, metric: str, values: Sequence[float]) -> list[Step]:
    """Where the values, one a run in their order, changed for good, and by as much as matters.

    The cuts are those of PELT: least deviations within each stretch, and a penalty for each cut. A number that is the
    same at every run of one code may step at any run, others only where most of three runs bear it out; of these,
    the deviations are absolute ones, to which outliers do not matter.

    Raises:
        BadInput: The library that finds them is not installed.
    """
    exact = METRICS[metric].deterministic
    least = 1 if exact else MINIMUM_LENGTH
    if len(values) < 2 * least or not all(map(math.isfinite, values)):
        return []
    if len(set(values)) == 1:
        return []
    scaled = _scaled(metric, np.asarray(values, dtype=np.float64))
    noise = max(SIGMA_OF_MAD * mad(list(np.diff(scaled))) / math.sqrt(2), LEAST_NOISE if exact else LEAST_TIME_NOISE)
    cuts = _cuts(scaled / noise, "l2" if exact else "l1", least)
    while cuts:
        steps = _steps(values, cuts)
        small = [each for each in steps if not _matters(cell, metric, each)]
        if not small:
            return steps
        cuts.remove(min(small, key=lambda each: abs(each.after - each.before)).index)
    return []


def _runs_in(folder: Path, depth: int) -> Iterator[Path]:
    with os_errors(f"{folder}: cannot be read"):
        is_run = (folder / MANIFEST).exists()
        inside = sorted(folder.iterdir()) if depth > 0 and not is_run and folder.is_dir() else []
    if is_run:
        yield folder
    for each in inside:
        leads_on = not (each.is_symlink() or each.name.startswith("."))
        yield from _runs_in(each, depth - 1 if leads_on else 0)


_ERRORS_FROM = 1e-10
"""Smaller errors are rounding, and take part as this."""


def _undisturbed(run: LoadedRun) -> dict[str, list[Measurement]]:
    """By cell, the processes with a core to themselves."""
    found: dict[str, list[Measurement]] = {}
    for each in run.processes:
        if not taken_by_others(each, run.manifest.machine.logical_cores):
            found.setdefault(each.key, []).append(each)
    return found


def _values(measurement: Measurement, undisturbed: Sequence[Measurement], metric: str) -> list[float]:
    """The samples; of a time, those of processes with a core to themselves."""
    if METRICS[metric].deterministic:
        return measurement.metrics[metric]
    return [value for each in undisturbed for value in each.metrics.get(metric, [])]


def _hardware(manifest: Manifest) -> tuple[object, ...]:
    return tuple(getattr(manifest.machine, name) for name in HARDWARE)


def _scaled(metric: str, values: Array) -> Array:
    """Logarithms, or shares of the median where a value is negative: a change of one per cent is 0.01."""
    if (values < 0).any():
        return values / max(float(np.median(np.abs(values))), _ERRORS_FROM)
    smallest = _ERRORS_FROM if METRICS[metric].unit == "1" else float(values[values > 0].min(initial=1.0))
    return np.log(np.maximum(values, smallest))


def _cuts(scaled: Array, cost: str, least: int) -> list[int]:
    """Indices of the first points after a change, of values whose noise is 1; "l1" overlooks outliers."""
    try:
        import ruptures
    except ImportError as error:
        raise BadInput("history needs the package ruptures: pip install 'imaml-bench[history]'") from error
    found = ruptures.Pelt(model=cost, min_size=least, jump=1).fit(scaled.reshape(-1, 1))
    return [int(cut) for cut in found.predict(pen=PENALTY * math.log(len(scaled)))[:-1]]


def _steps(values: Sequence[float], cuts: Sequence[int]) -> list[Step]:
    levels = [median(values[start:end]) for start, end in pairwise([0, *cuts, len(values)])]
    return [Step(cut, before, after) for cut, (before, after) in zip(cuts, pairwise(levels), strict=True)]


def _matters(cell: Cell, metric: str, step: Step) -> bool:
    if metric in JUDGED:
        return has_grown(metric, cell, step.before, step.after) or has_grown(metric, cell, step.after, step.before)
    return abs(step.after - step.before) > MINIMUM_STEP * min(abs(step.before), abs(step.after))
