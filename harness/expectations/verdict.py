"""What became of a claim."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from harness.expectation import Bounds


class Outcome(StrEnum):
    """Whether a claim holds. One that was not tested has not passed."""

    PASS = "pass"
    FAIL = "fail"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class Verdict:
    """One demand of a claim, and what was found: of all it is about, what is nearest to failing, or failed most."""

    claim: str
    bound: str
    """What is demanded."""
    outcome: Outcome
    measured: str
    """With its unit; why there is nothing, where the claim was not tested."""
    where: str = ""
    """The cell, or the configuration with its range of inner steps, that was measured so."""
    value: float | None = None
    """What was measured, in the metric's unit; none of a status or a law."""
    margin: float | None = None
    """How far from failing: the distance to the bound, relative to it; below 0 where it failed.

    None where there is no distance to tell: of what is met exactly and has no room, and of what is exactly flat.
    """

    @property
    def found(self) -> str:
        """What was measured, and where."""
        return f"{self.measured} ({self.where})" if self.where else self.measured

    @property
    def sentence(self) -> str:
        """What was found, and what was expected."""
        return f"{self.found}; expected: {self.bound}"


def passed(verdicts: Iterable[Verdict], *, strict: bool = False) -> bool:
    """Whether no claim failed and, if ``strict``, none was left untested."""
    refused = {Outcome.FAIL, Outcome.UNTESTED} if strict else {Outcome.FAIL}
    return not any(verdict.outcome in refused for verdict in verdicts)


def held(value: float, bounds: Bounds) -> tuple[bool, float | None]:
    """Whether the value is within the bounds, and its margin; none within bounds that leave no room."""
    room = _margin(value, bounds)
    return room >= 0, None if room >= 0 and bounds.min == bounds.max else room


def _margin(value: float, bounds: Bounds) -> float:
    """Distance to the nearer bound, relative to it (to the value, where the bound is 0); −∞ of what is not finite."""
    if not math.isfinite(value):
        return -math.inf
    rooms = [
        _relative(sign * (end - value), end, value)
        for end, sign in ((bounds.max, 1.0), (bounds.min, -1.0))
        if end is not None
    ]
    return min(rooms, default=math.inf)


def nearest_to_failing(found: Iterable[Verdict]) -> Verdict:
    """Of at least one: what failed most, else what was not tested, else what passed by the least."""
    order = [Outcome.FAIL, Outcome.UNTESTED, Outcome.PASS]
    return min(found, key=lambda each: (order.index(each.outcome), math.inf if each.margin is None else each.margin))


def _relative(distance: float, bound: float, value: float) -> float:
    scale = abs(bound) or abs(value)
    return distance / scale if scale else distance
