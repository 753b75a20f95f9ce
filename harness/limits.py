"""Which cells are not started, because memory will not do."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from harness.cell import Cell, Measurement, Status
from harness.units import quantity


class Skip(StrEnum):
    """Which cells are not started; their status is then ``skipped``."""

    FORECAST = "forecast"
    """Those forecast to need more memory than is free, and those with more inner steps than one that ran out of it."""
    OOM = "oom"
    """The latter alone: the first that does not fit is tried, so that the forecast is put to the proof."""
    NEVER = "never"


class MemoryLimit:
    """Knows what each cell is forecast to need, what the device has, and which cells ran out of it.

    Args:
        skip: Which cells are not to be started.
        forecast_bytes: Peak of the cells for which there is a forecast, by key.
        free_bytes: Memory of the device that is free; ``None`` where nobody knows.
        measured: What became of cells before.
    """

    def __init__(
        self,
        skip: Skip,
        forecast_bytes: Mapping[str, int],
        free_bytes: int | None,
        measured: Iterable[Measurement] = (),
    ) -> None:
        self._skip = skip
        self._forecast_bytes = forecast_bytes
        self._free_bytes = free_bytes
        self._ran_out: dict[str, set[int]] = {}
        for each in measured:
            self.learn(each)

    def learn(self, measurement: Measurement) -> None:
        """Remember a cell that ran out of memory; forget what one that worked disproves."""
        steps = measurement.cell.steps
        if measurement.status is Status.OOM:
            self._ran_out.setdefault(measurement.cell.family, set()).add(steps)
        elif measurement.status is Status.OK and self._ran_out:
            ran_out = self._ran_out.get(measurement.cell.family, set())
            ran_out -= {k for k in ran_out if k <= steps}

    def refusal(self, cell: Cell) -> str | None:
        """Why not to start the cell; ``None`` where nothing speaks against it."""
        if self._skip is Skip.NEVER:
            return None
        fewer = [k for k in self._ran_out.get(cell.family, ()) if k < cell.steps]
        if fewer:
            return f"ran out of memory at K = {min(fewer)} already"
        if self._skip is Skip.OOM:
            return None
        needed = self._forecast_bytes.get(cell.key)
        if needed is not None and self._free_bytes is not None and needed > self._free_bytes:
            return f"forecast {quantity(needed, 'B')} of {quantity(self._free_bytes, 'B')}"
        return None
