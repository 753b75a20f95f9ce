"""What other tools call a cell: a name that stays the same from run to run of a suite."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.cell import Cell, Measurement
from harness.store import LoadedRun
from harness.text import harmless, one_line
from harness.units import count_of


@dataclass(frozen=True)
class Named:
    """A cell of a run with its name."""

    measurement: Measurement
    name: str
    """Within the setting: "fig2b: MAML, K = 8"."""
    setting: str
    """What the name does not say: problem, tasks, dtype, device, threads, seed."""

    @property
    def full_name(self) -> str:
        """Unlike that of any other cell."""
        return f"{self.name}; {self.setting}"


def named(runs: Sequence[LoadedRun]) -> list[Named]:
    """Every cell of the runs; the name says no more than it takes to tell the cell from the others."""
    cells = [(run, measurement) for run in runs for measurement in run.measurements]
    candidates = [[Named(m, name, _setting(m.cell)) for name in _names(run, m)] for run, m in cells]
    uses = [Counter(each.full_name for each in level) for level in zip(*candidates, strict=True)]
    return [
        next((each for each, used in zip(of, uses, strict=True) if used[each.full_name] == 1), of[-1])
        for of in candidates
    ]


def _names(run: LoadedRun, measurement: Measurement) -> list[str]:
    """From the shortest to the longest."""
    cell = measurement.cell
    short = f"{run.manifest.suite.name}: {cell.label}, K = {cell.steps}"
    long = f"{short}, {cell.estimator.words}"
    names = [short, f"{short}, run {run.name}", long, f"{long}, run {harmless(str(run.path))}, cell {measurement.key}"]
    return [one_line(name) for name in names]


def _setting(cell: Cell) -> str:
    tasks, threads = count_of(cell.tasks, "task"), count_of(cell.threads, "thread")
    return one_line(", ".join([cell.problem.words, tasks, cell.dtype, cell.device, threads, f"seed {cell.seed}"]))
