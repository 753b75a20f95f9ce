"""How a metric grows with the number of inner steps K, or of tasks, by a rule simple enough to check by hand."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.cell import METRICS, metric_of
from harness.statistics import EXPONENTS, Line, OffsetPowerLaw, fit_line, fit_offset_power_law
from harness.units import count_of, quantity


class Law(StrEnum):
    """What the measured points allow to be said."""

    FLAT = "flat"
    LINEAR = "linear"
    SUPERLINEAR = "superlinear"
    SUBLINEAR = "sublinear"
    NEITHER = "neither"


@dataclass(frozen=True)
class Tolerance:
    """How near to a law points must be to follow it."""

    flat: float
    """Largest (max − min) / max of a flat metric."""
    off_curve: float
    """Largest distance of a point from the curve fitted, relative to the point."""


EXACT = Tolerance(flat=0.01, off_curve=0.05)
NOISY = Tolerance(flat=0.10, off_curve=0.20)
"""For metrics that differ from run to run, such as times."""
R_SQUARED = 0.99
"""Smallest R² of a curve that may give a metric its law."""
FLAT_OVER = 4
"""Smallest ratio of the largest K to the smallest over which a metric may be called flat."""
LINEAR_FROM = 3
"""Fewest distinct K through which a metric may be called linear: a line fits any two points."""
EXPONENT_FROM = 4
"""Fewest distinct K that give an exponent: a constant and a power fit most three points."""
LINEAR_EXPONENTS = (0.9, 1.1)
"""Exponents as good as 1. A band, as exact metrics have intervals of no width: K^1.002 is to be linear."""


@dataclass(frozen=True)
class Counted:
    """What a metric may grow with, in words. What is said here of K holds for any of it."""

    one: str
    symbol: str
    at: Callable[[int], str]
    """So many, as in "K = 4", or "1 task"."""


INNER_STEPS = Counted("step", "K", "K = {}".format)
TASKS = Counted("task", "tasks", lambda count: count_of(count, "task"))


@dataclass(frozen=True)
class Scaling:
    """A metric's law in K over the range measured, the straight line nearest to its points, and the nearest power."""

    metric: str
    law: Law
    slope: float
    """Per inner step, in the metric's unit."""
    slope_interval: tuple[float, float] | None
    """Its 95 % confidence interval; none of two K."""
    intercept: float
    r_squared: float
    """Of the straight line."""
    curve: OffsetPowerLaw | None
    """a + b K^p; none where there is no exponent."""
    without_exponent: str
    """Why there is none; empty where there is one."""
    first: tuple[int, float]
    """Smallest K, and the metric there."""
    last: tuple[int, float]
    """Largest K, and the metric there."""
    least: float
    most: float

    @property
    def exponent(self) -> float | None:
        """The p of a + b K^p."""
        return None if self.curve is None else self.curve.exponent

    def words(self, over: Counted = INNER_STEPS) -> str:
        """The law as the rest of a sentence about the metric's bearer: "grows by 26.4 MB a step"."""
        unit = metric_of(self.metric).unit
        (k, value), (last_k, last_value) = self.first, self.last
        if self.law is Law.FLAT:
            low, high = quantity(self.least, unit), quantity(self.most, unit)
            return f"is flat at {low}" if low == high else f"is flat ({low} to {high})"
        if self.law is Law.NEITHER:
            first, last = (
                f"{quantity(value, unit)} at {over.at(k)}",
                f"{quantity(last_value, unit)} at {over.at(last_k)}",
            )
            return f"goes from {first} to {last}"
        if self.curve is not None and self.law is not Law.LINEAR:
            pace = "faster" if self.law is Law.SUPERLINEAR else "slower"
            limit = "towards a limit, " if self.curve.high < 0 else ""
            how = f"{pace} than linearly, {limit}as {power(self.curve, over.symbol)}"
            return f"{'grows' if self.slope > 0 else 'falls'} {how}"
        exact = _deterministic(self.metric)
        slope = float(f"{abs(self.slope):.12g}")  # a whole number but for rounding is to be written as one
        step = quantity(slope, unit) if exact else f"about {quantity(slope, unit, digits=2)}"
        if unit == "s":
            return f"takes {step} {'more' if self.slope > 0 else 'less'} a {over.one}"
        return f"{'grows' if self.slope > 0 else 'falls'} by {step} a {over.one}"


def scaling(metric: str, values: Mapping[int, float]) -> Scaling:
    """The law ``metric`` follows over its ``values`` by K.

    *Flat*: (max − min) is within 1 % of max, and the largest K is at least four times the smallest. Otherwise, from
    four K on, a + b K^p is fitted, and where p's 95 % interval lies within 0.9 to 1.1 the metric is *linear*, above it
    *superlinear*, below it *sublinear*; where it lies across a limit, or there are three K, it is *linear* if the
    straight line is near. It is *neither* if the curve in question is not near: R² ≥ 0.99, and no point off it by more
    than 5 % of itself. Metrics that differ from run to run, such as times, are given 10 % and 20 % for 1 % and 5 %.

    The constant a matters: memory is a base and so much a step, whose logarithms lie on no straight line. Distances
    are taken relative to the points (weights 1 / y²). Noise of times is of so many percent, and under it the intervals
    of unweighted fits, which the largest K rule, hold the true slope 7 to 9 times in 10; relative ones 19 times in 20.
    And a law of memory has to hold at K = 1 as at K = 64, be it a twentieth. Where a value is 0, distances are plain.

    Raises:
        ValueError: Fewer than two K, or a value that is not finite.
    """
    if not all(map(math.isfinite, values.values())):
        raise ValueError(f"{metric} is not finite everywhere")
    ks, ys = list(values), list(values.values())
    smallest = min(map(abs, ys))
    weights = [(smallest / y) ** 2 for y in ys] if smallest > 0 else None
    line = fit_line(ks, ys, weights)
    curve = fit_offset_power_law(ks, ys, weights) if len(ks) >= EXPONENT_FROM else None
    first, last = min(ks), max(ks)
    law = _law(EXACT if _deterministic(metric) else NOISY, ks, ys, line, curve)
    if law is Law.FLAT:
        curve = None
    return Scaling(
        metric=metric,
        law=law,
        slope=line.slope,
        slope_interval=line.slope_interval,
        intercept=line.intercept,
        r_squared=line.r_squared,
        curve=curve,
        without_exponent="" if curve else _without_exponent(law, ys),
        first=(first, values[first]),
        last=(last, values[last]),
        least=min(ys),
        most=max(ys),
    )


def power(curve: OffsetPowerLaw, symbol: str = INNER_STEPS.symbol) -> str:
    """The power with its exponent's interval: "K^1.90 (1.80 to 2.00)"; that of 0 is the logarithm."""
    exponent, low, high = (f"{p:z.2f}" for p in (curve.exponent, curve.low, curve.high))
    of_k = f"log {symbol}" if exponent == "0.00" else f"{symbol}^{exponent}"
    return of_k if low == high else f"{of_k} ({low} to {high})"


def _law(tolerance: Tolerance, ks: Sequence[int], ys: Sequence[float], line: Line, curve: OffsetPowerLaw | None) -> Law:
    least, most = min(ys), max(ys)
    if most - least <= tolerance.flat * abs(most) and max(ks) >= FLAT_OVER * min(ks):
        return Law.FLAT
    if len(ks) < LINEAR_FROM or least == most:
        return Law.NEITHER
    law, fitted = Law.LINEAR, line
    low, high = LINEAR_EXPONENTS
    if curve is not None and curve.low > high:
        law, fitted = Law.SUPERLINEAR, curve
    elif curve is not None and curve.high < low:
        law, fitted = Law.SUBLINEAR, curve
    elif curve is not None and low <= curve.low and curve.high <= high:
        fitted = curve
    return law if fitted.r_squared >= R_SQUARED and _near(fitted.fitted, ys, tolerance.off_curve) else Law.NEITHER


def _near(fitted: Sequence[float], ys: Sequence[float], off_curve: float) -> bool:
    rounding = 1e-12 * max(map(abs, ys))  # a value of 0 allows no relative distance
    return all(abs(y - at) <= off_curve * abs(y) + rounding for y, at in zip(ys, fitted, strict=True))


def _without_exponent(law: Law, ys: Sequence[float]) -> str:
    if law is Law.FLAT or min(ys) == max(ys):
        return "it does not grow"
    if len(ys) < EXPONENT_FROM:
        return f"fewer than {EXPONENT_FROM} K"
    low, high = EXPONENTS
    return f"none from {low:g} to {high:g} fits best"


def _deterministic(metric: str) -> bool:
    return metric not in METRICS or METRICS[metric].deterministic
