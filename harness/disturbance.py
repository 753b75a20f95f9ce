"""Whether other processes took a cell's processor while it was timed; such a time can be twice what it would be."""

from itertools import zip_longest

from harness.cell import Measurement, Status
from harness.store import LoadedRun

FULL = 1.05
"""Share of the machine's CPU time, with what the cell itself needs, from which there was no core left for it."""
SHARES = ("foreign_share", "steal_share")
"""Metrics with what others had, one value a process."""


def taken_by_others(measurement: Measurement, logical_cores: int) -> list[float]:
    """What others had of the CPU time of all the machine's cores, as shares, where they left none to the cell.

    One value for each of the cell's processes that was disturbed: none of a quiet machine, nor of a run from before
    version 3, which does not tell.
    """
    needed = min(1.0, measurement.cell.threads / logical_cores)
    processes = zip_longest(*(measurement.metrics.get(name, ()) for name in SHARES), fillvalue=0.0)
    return [share for share in map(sum, processes) if share + needed > FULL]


def of_timed_cells(run: LoadedRun) -> list[list[float]]:
    """The same of every cell that has times: an empty list where none of its processes was disturbed."""
    timed = [each for each in run.measurements if each.status is Status.OK and each.metrics.get("wall_seconds")]
    return [taken_by_others(each, run.manifest.machine.logical_cores) for each in timed]
