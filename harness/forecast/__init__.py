"""Peak memory of cells before they are measured, without computing and without the device they run on.

The estimator's own code runs on tensors that have shapes and no data (PyTorch's fake tensors), for two or three small
numbers of inner steps; every allocation and release is counted. A line in the inner steps through each place where
memory is held then gives the peak at any K. What kernels take while they run, which fake tensors do not show, is asked
of the kernels, one by one.

Off where a value decides: a few of autograd's formulas (``prod``, ``cumprod``) are others for tensors without data.

Importing this imports no torch; calling :func:`forecast` does, so a parent process has a worker do it.
"""

from collections.abc import Sequence

from harness.cell import Cell
from harness.errors import BadInput
from harness.forecast.capacity import free_bytes
from harness.forecast.result import Forecast

__all__ = ["Forecast", "forecast", "free_bytes"]


def forecast(cells: Sequence[Cell]) -> list[Forecast]:
    """The forecast of each cell, in their order; cells that differ in their inner steps share runs.

    Never raises for a cell's sake: one that cannot be forecast has a reason instead. Nor does it where the installed
    PyTorch lacks a private part that forecasts need: that is then the reason of all.
    """
    try:
        from harness.forecast.rehearsals import forecast_cells
    except BadInput as error:
        return [Forecast(None, reason=str(error))] * len(cells)
    return forecast_cells(cells)
