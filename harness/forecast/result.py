"""What a forecast says; without torch, so that it can be sent to a process that has none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Forecast:
    """Memory that a cell will take, or why that is not known."""

    peak_bytes: int | None
    """The allocator's peak over its baseline, as the metric of this name; ``None`` where there is no forecast."""
    baseline_bytes: int | None = None
    """θ and the data of the cell's tasks, which are there before."""
    reason: str | None = None
    """Why there is no forecast, in one line."""
    without_scratch: bool = False
    """Whether memory that kernels take while they run is left out: the device is not at hand, or a kernel is too large
    to be asked. The peak is then a lower bound."""
    extrapolated: bool = False
    """Whether it comes from a law through runs of fewer inner steps, rather than from a run of the cell's own."""
