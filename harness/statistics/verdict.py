"""Whether one code is slower than another."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Head against base, by the interval of the ratio of their times and the smallest effect that matters."""

    SAME = "same"
    """The interval lies within the smallest effect: whatever the difference is, it does not matter."""
    BETTER = "better"
    """The interval lies below 1, and the ratio is beyond the smallest effect: head is faster."""
    WORSE = "worse"
    """The interval lies above 1, and the ratio is beyond the smallest effect: head is slower."""
    UNCLEAR = "unclear"
    """None of these: too few samples for the noise."""


@dataclass(frozen=True)
class Comparison:
    """Time of head over time of base."""

    ratio: float
    low: float
    """Of the ratio's interval; 0 where the samples are too few for one."""
    high: float
    """Infinite where the samples are too few for one."""
    verdict: Verdict
