"""Laws fitted to points."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from harness.statistics.series import Array


@dataclass(frozen=True)
class Line:
    """Least-squares straight line y = intercept + slope x."""

    slope: float
    intercept: float
    r_squared: float
    half_width: float | None
    """Of the slope's 95 % confidence interval, by Student's t; none of two points, which leave nothing over."""
    fitted: tuple[float, ...]
    """The line's y at each x."""

    @property
    def slope_interval(self) -> tuple[float, float] | None:
        """The slope's 95 % confidence interval, where there is one."""
        return None if self.half_width is None else (self.slope - self.half_width, self.slope + self.half_width)


def fit_line(x: Sequence[float], y: Sequence[float], weights: Sequence[float] | None = None) -> Line:
    """Fit a line through at least two points with distinct ``x``, by (weighted) least squares.

    R² is of the weighted squares; that of constant ``y`` is 1: nothing is left over.

    Raises:
        ValueError: There are not two distinct ``x``.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if np.ptp(xs) == 0.0:
        raise ValueError("a line needs two distinct x")
    if np.ptp(ys) == 0.0:
        return Line(0.0, float(ys[0]), 1.0, 0.0 if len(xs) > 2 else None, tuple(ys.tolist()))
    shares = _shares(weights, len(xs))
    centre, level = float(xs @ shares), float(ys @ shares)
    centred, risen = xs - centre, ys - level
    spread = float(centred**2 @ shares)
    slope = float(centred * risen @ shares) / spread
    left = float((risen - slope * centred) ** 2 @ shares)
    freedom = len(xs) - 2
    half_width = _t_quantile(freedom) * math.sqrt(left / freedom / spread) if freedom else None
    fitted = tuple((level + slope * centred).tolist())
    return Line(slope, level - slope * centre, 1.0 - left / float(risen**2 @ shares), half_width, fitted)


@dataclass(frozen=True)
class PowerLaw:
    """y = c x^exponent, fitted as a straight line through the logarithms."""

    exponent: float
    half_width: float
    """Of the exponent's 95 % confidence interval, by Student's t; 0 where the points leave nothing over."""
    r_squared: float
    count: int
    """Points fitted."""


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """Fit a power law through at least three points with distinct ``x``, all above 0."""
    if len(x) < 3:
        raise ValueError("an interval needs three points")
    xs, ys = np.log(np.asarray(x, dtype=np.float64)), np.log(np.asarray(y, dtype=np.float64))
    line = fit_line(list(xs), list(ys))
    return PowerLaw(line.slope, line.half_width or 0.0, line.r_squared, len(x))


EXPONENTS = (-2.0, 4.0)
"""Between which the exponent of an offset power law is searched for."""
_GRID = np.linspace(*EXPONENTS, 601)


@dataclass(frozen=True)
class OffsetPowerLaw:
    """y = a + b x^exponent: a constant and a power. At the exponent 0 the power is the logarithm."""

    exponent: float
    low: float
    """End of the exponent's 95 % confidence interval, as is ``high``; cut where it leaves :data:`EXPONENTS`."""
    high: float
    r_squared: float
    fitted: tuple[float, ...]
    """The curve's y at each x."""


def fit_offset_power_law(
    x: Sequence[float], y: Sequence[float], weights: Sequence[float] | None = None
) -> OffsetPowerLaw | None:
    """Fit a constant and a power through at least four points, by (weighted) least squares.

    With the exponent held, a and b are a straight line's; S(p), what that line leaves over of the weighted squares, is
    searched for its least S. The interval holds the exponents that the F test does not reject, those with
    S(p) ≤ S (1 + t² / (n − 3)), where t is the 97.5 % quantile of Student's t with n − 3 degrees of freedom.

    Args:
        x: Above 0, at least four distinct ones.
        y: As many.
        weights: As many, above 0; only their ratios matter.

    Returns:
        The law; ``None`` where ``y`` is constant, or is best followed beyond the exponents searched.

    Raises:
        ValueError: There are fewer than four points.
    """
    if len(x) < 4:
        raise ValueError("a constant, a factor and an exponent need four points")
    if min(y) == max(y):
        return None
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    shares = _shares(weights, len(xs))
    level = float(ys @ shares)
    risen = ys - level

    def offsets(exponents: Array) -> Array:
        """The fitted curves' distances from ``level``, a row an exponent."""
        powers = _powers(xs, exponents)
        powers -= (powers @ shares)[:, None]
        factors = (powers * risen @ shares) / (powers**2 @ shares)
        return factors[:, None] * powers

    def left(exponents: Array) -> Array:
        return (offsets(exponents) - risen) ** 2 @ shares

    on_grid = left(_GRID)
    nearest = int(on_grid.argmin())
    if nearest in (0, len(_GRID) - 1):
        return None
    best = _least(left, float(_GRID[nearest - 1]), float(_GRID[nearest + 1]))
    over = float(left(np.array([best]))[0])
    freedom = len(xs) - 3
    bound = over * (1.0 + _t_quantile(freedom) ** 2 / freedom)
    within = _GRID[on_grid <= bound]
    low = _edge(left, bound, float(within.min(initial=best)), EXPONENTS[0])
    high = _edge(left, bound, float(within.max(initial=best)), EXPONENTS[1])
    fitted = tuple((level + offsets(np.array([best]))[0]).tolist())
    return OffsetPowerLaw(best, low, high, 1.0 - over / float(risen**2 @ shares), fitted)


def _shares(weights: Sequence[float] | None, count: int) -> Array:
    """The weights as parts of 1."""
    shares = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    return shares / shares.sum()


def _powers(x: Array, exponents: Array) -> Array:
    """(x^p − 1) / p for each exponent p, a row each: spans, with the constant, what x^p does, and stays apart from it.

    Its limit at 0 is the logarithm, to which p = 1e-9 comes as near as float64 can tell.
    """
    p = np.where(np.abs(exponents) < 1e-9, 1e-9, exponents)[:, None]
    return np.expm1(p * np.log(x / x.min())) / p


def _least(of: Callable[[Array], Array], low: float, high: float) -> float:
    """Where ``of`` is least in between, to 1e-10, by ever finer grids: SciPy's minimiser stops at √ε, 1.5e-8."""
    while high - low > 1e-10:
        grid = np.linspace(low, high, 21)
        at = int(np.clip(of(grid).argmin(), 1, 19))
        low, high = float(grid[at - 1]), float(grid[at + 1])
    return (low + high) / 2


def _edge(of: Callable[[Array], Array], bound: float, inside: float, end: float) -> float:
    """How far from ``inside`` towards ``end`` ``of`` keeps within ``bound``, to 1e-10; that is within a grid's step."""
    step = float(_GRID[1] - _GRID[0])
    outside = min(inside + step, end) if end > inside else max(inside - step, end)
    while abs(outside - inside) > 1e-10:
        grid = np.linspace(inside, outside, 21)
        beyond = np.append(of(grid[1:-1]) > bound, True)
        first = int(beyond.argmax())
        inside, outside = float(grid[first]), float(grid[first + 1])
    return inside


def _t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t."""
    return float(scipy.stats.t.ppf(0.975, freedom))
