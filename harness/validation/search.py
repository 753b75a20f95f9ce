"""The number that explains a gradient best, where it has to be searched for."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from harness.errors import BadInput

_ABOVE = (2, 10, 1.1, 3, 4, 5, 1.5, 4 / 3, 1.25, 1.2, 1.05, 1.01, 6, 8, 16, 20, 100, 1000)
USUAL = (*_ABOVE, *(1 / each for each in _ABOVE), 0.9, 0.95, 0.99)
"""Multiples that slips of the pen come to."""
COARSE = (0.001, 0.003, *np.logspace(-2, 2, 25).tolist(), 300.0, 1000.0)
NEAR = (0.7, 1.4)
"""Where wrong settings mostly lie, and the grid is fine: the valley around a right one narrows with K."""
WIDEST, NARROWEST = 0.1, 0.02
"""Spacings of the fine grid."""
SURE = 1e-10
"""Relative error at which nothing better is looked for."""
VALLEYS = 4
"""Local minima of the grid that are refined."""
EVALUATIONS = 15
"""Most a refinement may take; near a right value it takes five."""
BEYOND = 1e6
"""Stands for an error that is not finite."""

Error: TypeAlias = Callable[[float], Tensor]
"""The error a value leaves, as a vector relative to its size; may raise ``BadInput`` where there is none."""


def usual_multiple(error: Error, more: Iterable[float] = ()) -> float | None:
    """The usual multiple, or one of ``more``, that leaves no error, if one does."""
    found = best_value(lambda log: error(math.exp(log)), map(math.log, (*more, *USUAL)), ())
    return None if found is None else math.exp(found)


def best_multiple(error: Error, steps: int) -> float | None:
    """The positive multiple of least error.

    The valleys of a grid, fine near 1 and even in the logarithm farther off, are refined by least squares, the deepest
    first.

    Args:
        error: Where it raises ``BadInput`` or is not finite, that multiple is out.
        steps: Inner steps that the setting acts in.
    """
    fine = np.arange(*NEAR, min(WIDEST, max(NARROWEST, 0.3 / steps)))
    logarithms = {round(math.log(multiple), 9) for multiple in (*COARSE, *fine.tolist())}  # none twice but for rounding
    found = best_value(lambda log: error(math.exp(log)), (), sorted(logarithms))
    return None if found is None else math.exp(found)


def best_value(error: Error, usual: Iterable[float], grid: Sequence[float]) -> float | None:
    """The value of least error: one of ``usual`` that leaves none, else the best there is within a grid's ends.

    ``None`` where no value has a finite error, or there is no grid.
    """

    def vector(value: float) -> NDArray[np.float64] | None:
        try:
            found = error(value).double().cpu().numpy()
        except BadInput:
            return None
        return found if np.isfinite(found).all() else None

    def norm(value: float) -> float:
        found = vector(value)
        return math.inf if found is None else float(np.linalg.norm(found))

    tried: dict[float, float] = {}
    for value in usual:
        tried[value] = norm(value)
        if tried[value] <= SURE:
            return value
    if not grid:
        return None
    tried |= {value: norm(value) for value in grid if value not in tried}
    refined: dict[float, float] = {}
    for bracket in _valleys(tried)[:VALLEYS]:
        value = _refined(vector, *bracket)
        refined[value] = norm(value)
        if refined[value] <= SURE:
            return value
    return min(refined, key=lambda value: refined[value], default=None)


def _valleys(errors: Mapping[float, float]) -> list[tuple[float, float, float]]:
    """The local minima with their neighbours on both sides, the deepest first."""
    places = sorted(errors)
    around = zip([places[0], *places[:-1]], places, [*places[1:], places[-1]], strict=True)
    found = [
        (low, middle, high)
        for low, middle, high in around
        if errors[middle] < math.inf and errors[middle] <= min(errors[low], errors[high])
    ]
    return sorted(found, key=lambda bracket: errors[bracket[1]])


def _refined(vector: Callable[[float], NDArray[np.float64] | None], low: float, middle: float, high: float) -> float:
    start = vector(middle)
    assert start is not None

    def within(at: NDArray[np.float64]) -> NDArray[np.float64]:
        found = vector(middle + float(at[0]))
        return np.full_like(start, BEYOND) if found is None else found

    with np.errstate(all="ignore"):  # where nothing is left over already
        result = least_squares(
            within,
            [0.0],  # from there the first step may be of any length; near 0, of none
            bounds=(low - middle, high - middle),
            xtol=1e-15,
            ftol=1e-15,
            gtol=None,  # pyright: ignore[reportArgumentType]  (as documented)
            max_nfev=EVALUATIONS,
        )
    return middle + float(result.x[0])
