"""The number that explains an error best, where it has to be searched for."""

import math
from collections.abc import Callable

from harness.errors import BadInput

DECADES = 3
"""Multiples are searched from 10⁻³ to 10³."""
POINTS_PER_DECADE = 3
REFINEMENTS = 40
"""Golden section steps: the bracket shrinks to 3e-9 of a decade."""
PROMISE = (18, 0.01)
"""An error that is not below the second number after so many of them is not that of a right multiple: there the error
vanishes, and it grows with the distance from it."""
GOLDEN = (math.sqrt(5) - 1) / 2


def best_multiple(error: Callable[[float], float]) -> float:
    """The multiple with the least error: on a grid over its logarithm, then by golden section around the best point.

    Args:
        error: Error at a multiple. Where it raises ``BadInput`` or is not a number the multiple is out of the question.
    """

    def at(log: float) -> float:
        try:
            value = error(10**log)
        except BadInput:
            return math.inf
        return math.inf if math.isnan(value) else value

    count = DECADES * POINTS_PER_DECADE
    centre = min((i / POINTS_PER_DECADE for i in range(-count, count + 1)), key=at)
    low, high = centre - 1 / POINTS_PER_DECADE, centre + 1 / POINTS_PER_DECADE
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = at(left), at(right)
    for taken in range(REFINEMENTS):
        if taken == PROMISE[0] and min(at_left, at_right) > PROMISE[1]:
            break
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = at(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = at(right)
    return 10 ** ((low + high) / 2)
