"""How a metric grows with the number of inner steps K, by a rule simple enough to check by hand."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.cell import METRICS
from harness.statistics import fit_line
from harness.units import quantity


class Law(StrEnum):
    """What the measured points allow to be said."""

    FLAT = "flat"
    LINEAR = "linear"
    NEITHER = "neither"


@dataclass(frozen=True)
class Tolerance:
    """How near to a law points must be to follow it."""

    flat: float
    """Largest (max − min) / max of a flat metric."""
    off_line: float
    """Largest distance of a point from the line fitted to a linear one, relative to the point."""


EXACT = Tolerance(flat=0.01, off_line=0.05)
NOISY = Tolerance(flat=0.10, off_line=0.20)
"""For metrics that differ from run to run, such as times."""
LINEAR_R_SQUARED = 0.99
"""Smallest R² of a metric that may be called linear."""
FLAT_OVER = 4
"""Smallest ratio of the largest K to the smallest over which a metric may be called flat."""
LINEAR_FROM = 3
"""Fewest distinct K through which a metric may be called linear: a line fits any two points."""


@dataclass(frozen=True)
class Scaling:
    """A metric's law in K over the range measured, and the straight line nearest to its points."""

    metric: str
    law: Law
    slope: float
    """Per inner step, in the metric's unit."""
    intercept: float
    r_squared: float
    first: tuple[int, float]
    """Smallest K, and the metric there."""
    last: tuple[int, float]
    """Largest K, and the metric there."""
    least: float
    most: float

    def words(self) -> str:
        """The law as the rest of a sentence about the metric's bearer: "grows by 26.4 MB a step"."""
        unit = _unit(self.metric)
        (k, value), (last_k, last_value) = self.first, self.last
        if self.law is Law.FLAT:
            low, high = quantity(self.least, unit), quantity(self.most, unit)
            return f"is flat at {low}" if low == high else f"is flat ({low} to {high})"
        if self.law is Law.NEITHER:
            return f"goes from {quantity(value, unit)} at K = {k} to {quantity(last_value, unit)} at K = {last_k}"
        exact = _deterministic(self.metric)
        step = quantity(abs(self.slope), unit) if exact else f"about {quantity(abs(self.slope), unit, digits=2)}"
        if unit == "s":
            return f"takes {step} {'more' if self.slope > 0 else 'less'} a step"
        return f"{'grows' if self.slope > 0 else 'falls'} by {step} a step"


def scaling(metric: str, values: Mapping[int, float]) -> Scaling:
    """The law ``metric`` follows over its ``values`` by K.

    *Flat*: (max − min) is within 1 % of max, and the largest K is at least four times the smallest. *Linear*: at least
    three K; the least-squares line has R² ≥ 0.99, and no point is off it by more than 5 % of itself. *Neither*
    otherwise. Metrics that differ from run to run, such as times, are given 10 % and 20 % for 1 % and 5 %.

    Raises:
        ValueError: Fewer than two K, or a value that is not finite.
    """
    if not all(map(math.isfinite, values.values())):
        raise ValueError(f"{metric} is not finite everywhere")
    line = fit_line(list(values), list(values.values()))
    least, most = min(values.values()), max(values.values())
    first, last = min(values), max(values)
    tolerance = EXACT if _deterministic(metric) else NOISY
    on_line = all(abs(v - line.intercept - line.slope * k) <= tolerance.off_line * abs(v) for k, v in values.items())
    law = Law.NEITHER
    if most - least <= tolerance.flat * abs(most) and last >= FLAT_OVER * first:
        law = Law.FLAT
    elif len(values) >= LINEAR_FROM and line.r_squared >= LINEAR_R_SQUARED and on_line:
        law = Law.LINEAR
    ends = (first, values[first]), (last, values[last])
    return Scaling(metric, law, line.slope, line.intercept, line.r_squared, *ends, least, most)


def _unit(metric: str) -> str:
    return METRICS[metric].unit if metric in METRICS else "1"


def _deterministic(metric: str) -> bool:
    return metric not in METRICS or METRICS[metric].deterministic
