"""Forecasts of cells, each configuration's from a few runs of few steps."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from harness.cell import Cell
from harness.errors import BadInput, first_line
from harness.forecast import law
from harness.forecast.fake import Rehearsal, rehearse
from harness.forecast.kernels import ask, takes_memory
from harness.forecast.law import Law, Samples, Variables
from harness.forecast.live import Kernel, Sizes
from harness.forecast.result import Forecast
from harness.worker import build_estimator

MOST_STEPS = 256
"""Most steps of a run where there is no law to save it."""


def forecast_cells(cells: Sequence[Cell]) -> list[Forecast]:
    """The forecast of each cell, in their order."""
    shared: dict[str, Rehearsals] = {}
    return [shared.setdefault(_configuration(cell), Rehearsals(cell)).forecast(cell.steps) for cell in cells]


def _configuration(cell: Cell) -> str:
    """What cells have in common that differ in their inner steps, or in what memory does not depend on."""
    return cell.model_dump_json(include={"problem", "estimator", "tasks", "dtype", "device", "threads"})


class Rehearsals:
    """A cell's computation at any number of inner steps, run without data at as few as will do.

    Args:
        cell: What to compute.
        scratch: Whether to ask kernels what they take while they run, which runs each of them once.
    """

    def __init__(self, cell: Cell, *, scratch: bool = True) -> None:
        self.cell = cell
        self._scratch = scratch
        self._runs: dict[int, Rehearsal] = {}
        self._kernels: dict[Kernel, int] = {}
        self._returned: dict[Kernel, Sizes] = {}
        self._without_scratch = False

    def forecast(self, steps: int) -> Forecast:
        """Memory at ``steps``; a reason instead where the computation cannot be run without data."""
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(self.cell.threads)
            return self._forecast(steps)
        except (Exception, SystemExit) as error:
            return Forecast(None, reason=f"{type(error).__name__}: {first_line(error)}")
        finally:
            torch.set_num_threads(threads)

    def _forecast(self, steps: int) -> Forecast:
        twin = self._twin(steps)
        if twin in self._runs or twin <= max(self._samples.fitted) or not self._lawful(twin):
            if twin > MOST_STEPS:
                return Forecast(None, reason=f"memory follows no law in K, and {twin} steps are too many to run")
            run = self._run(twin)
            return self._result(law.peak_of(run.record, self._kernels), extrapolated=False)
        return self._result(self._law.peak_bytes(self._variables(twin)), extrapolated=True)

    def _result(self, peak_bytes: int, *, extrapolated: bool) -> Forecast:
        baseline_bytes = next(iter(self._runs.values())).baseline_bytes
        return Forecast(peak_bytes, baseline_bytes, without_scratch=self._without_scratch, extrapolated=extrapolated)

    def _twin(self, steps: int) -> int:
        """The least number of steps from which on all take as much memory as ``steps``; 1 is like no other."""
        if steps == 1:
            return 1
        wanted, least, twin = self._variables(steps), 2, steps
        if self._variables(steps - 1) != wanted:
            return steps
        while least < twin:
            middle = (least + twin) // 2
            least, twin = (least, middle) if self._variables(middle) == wanted else (middle + 1, twin)
        return twin

    def _lawful(self, steps: int) -> bool:
        """Whether memory at ``steps`` follows from the runs of fewer."""
        rows = [self._variables(each) for each in self._samples.fitted]
        return law.spanned(rows, self._variables(steps)) and self._law_holds

    @cached_property
    def _samples(self) -> Samples:
        return law.choose(self._variables)

    @cached_property
    def _law(self) -> Law:
        runs = {self._variables(steps): self._run(steps).record for steps in self._samples.fitted}
        return Law.of(runs, self._kernels)

    @cached_property
    def _law_holds(self) -> bool:
        check = self._samples.check
        if check is None:
            return True
        run = self._run(check)
        return self._law.holds(self._variables(check), run.record)

    def _variables(self, steps: int) -> Variables:
        estimator = build_estimator(self.cell.model_copy(update={"steps": steps}))
        found: Any = estimator.memory_variables(steps)
        if not isinstance(found, tuple) or not all(isinstance(each, int) for each in found):
            raise BadInput(f"memory_variables({steps}) of {type(estimator).__name__}: not a tuple of whole numbers")
        return found

    def _run(self, steps: int) -> Rehearsal:
        if steps not in self._runs:
            self._runs[steps] = self._rehearsed(steps)
        return self._runs[steps]

    def _rehearsed(self, steps: int) -> Rehearsal:
        """A run at ``steps``, and another where its kernels return more or less than tensors without data told."""
        cell = self.cell.model_copy(update={"steps": steps})
        run = rehearse(cell, self._returned)
        told, asked = run.record.returned, self._ask(run)
        differing = {kernel: sizes for kernel, sizes in asked.items() if told.get(kernel, sizes) != sizes}
        if differing:
            self._returned |= differing
            run = rehearse(cell, self._returned)
            self._ask(run)
        return run

    def _ask(self, run: Rehearsal) -> dict[Kernel, Sizes]:
        """Find out what the run's kernels take themselves, and return."""
        device, record = torch.device(self.cell.device), run.record
        at_hand = self._scratch and (device.type == "cpu" or torch.cuda.is_available())
        asked = ask(record.growth, device, record.origins) if at_hand else {}
        peaks = {kernel: taken.peak_bytes for kernel, taken in asked.items()}
        self._kernels |= {kernel: peaks.get(kernel, growth) for kernel, growth in record.growth.items()}
        self._without_scratch |= any(takes_memory(kernel) and kernel not in asked for kernel in record.growth)
        return {kernel: taken.returned for kernel, taken in asked.items()}
