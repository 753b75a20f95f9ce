"""What ``imaml-bench run`` says while it runs."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from harness.cell import METRICS, Cell, Measurement, Status, varied
from harness.disturbance import of_timed_cells
from harness.statistics import summarise
from harness.store import LoadedRun
from harness.units import quantity

SHOWN = {
    "peak_bytes": "peak",
    "wall_seconds": "time",
    "backprop_relative_error": "error to backprop",
    "implicit_relative_error": "error to implicit",
}
"""Metrics on the line of a finished cell."""


def listener_for(*, as_json: bool, quiet: bool, terminal: bool) -> "Quiet":
    """The listener that says as much as is wanted."""
    if as_json:
        return Json()
    if quiet:
        return Quiet()
    return Bar() if terminal else Lines()


def busy_line(run: LoadedRun) -> str | None:
    """How many cells' times other processes disturbed, in a line; ``None`` where they disturbed none."""
    timed = of_timed_cells(run)
    disturbed = sum(map(bool, timed))
    if not disturbed:
        return None
    return (
        f"{disturbed} of {len(timed)} cells were timed while other processes took their processor: times are not to be "
        "trusted; see how busy the machine is with: imaml-bench doctor"
    )


class Quiet:
    """Counts, and says nothing."""

    def __init__(self) -> None:
        self.failed = 0
        self.skipped = 0
        self.finished = 0
        self.before = 0
        self.total = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def planned(self, todo: Sequence[Cell], done: int, notices: Sequence[str]) -> None:
        """The run begins."""
        self.total, self.before = len(todo) + done, done

    def measured(self, measurement: Measurement) -> None:
        """A cell has ended."""
        self.finished += 1
        self.skipped += measurement.status is Status.SKIPPED
        self.failed += measurement.status not in (Status.OK, Status.SKIPPED)

    def noticed(self, notice: str) -> None:
        """Something has come up that the user should know."""

    def summary(self) -> str:
        """What the run came to, in words."""
        words = f"{self.finished - self.skipped} of {self.total} cells measured"
        if self.before:
            words += f", {self.before} were there already"
        if self.skipped:
            words += f", {self.skipped} skipped"
        return words + (f", {self.failed} failed" if self.failed else "")


class Json(Quiet):
    """Each measurement as a line of JSON on stdout."""

    def measured(self, measurement: Measurement) -> None:
        """A cell has ended."""
        super().measured(measurement)
        print(measurement.model_dump_json(), flush=True)


class Lines(Quiet):
    """A line a finished cell."""

    def __init__(self) -> None:
        super().__init__()
        self._different: list[str] = []

    def planned(self, todo: Sequence[Cell], done: int, notices: Sequence[str]) -> None:
        """The run begins."""
        super().planned(todo, done, notices)
        self._different = varied(cell.problem for cell in todo)
        for notice in notices:
            self.noticed(notice)

    def noticed(self, notice: str) -> None:
        """Something has come up that the user should know."""
        self.say(f"note: {notice}")

    def measured(self, measurement: Measurement) -> None:
        """A cell has ended."""
        super().measured(measurement)
        self.say(f"[{self.before + self.finished}/{self.total}] {_line(measurement, self._different)}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)


class Bar(Lines):
    """The same lines above a live bar with the time left, which counts inner steps rather than cells."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._console = console or Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._bar = self._progress.add_task("starting", total=None)

    @property
    def fraction(self) -> float:
        """How far the bar is, from 0 to 1."""
        task = self._progress.tasks[0]
        return task.completed / task.total if task.total else 0.0

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def planned(self, todo: Sequence[Cell], done: int, notices: Sequence[str]) -> None:
        """The run begins."""
        super().planned(todo, done, notices)
        self._progress.update(self._bar, description="measuring", total=sum(map(_weight, todo)))

    def measured(self, measurement: Measurement) -> None:
        """A cell has ended."""
        super().measured(measurement)
        self._progress.advance(self._bar, _weight(measurement.cell))

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, highlight=False)


def _weight(cell: Cell) -> int:
    """About what a cell takes: its steps and as much as a few more, a task."""
    return (cell.steps + 4) * cell.tasks


def _line(measurement: Measurement, different: Sequence[str]) -> str:
    """The cell and what became of it; of its problem, the parameters in which the cells differ."""
    cell = measurement.cell
    problem = f"  {cell.problem.only(different).words}" if different else ""
    words = [f"{cell.point:<5} {cell.label:<20}{problem} {measurement.status}"]
    if measurement.reason:
        words.append(measurement.reason)
    words += [
        f"{name} {quantity(summarise(measurement.metrics[metric]).median, METRICS[metric].unit)}"
        for metric, name in SHOWN.items()
        if metric in measurement.metrics
    ]
    return "  ".join(words)
