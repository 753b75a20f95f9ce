"""What an instrument says: a value, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")


@dataclass(frozen=True)
class Reading(Generic[T_co]):
    """A value, or the reason in words why it is not known. Unknown is never 0."""

    value: T_co | None
    reason: str | None = None

    def then(self, convert: Callable[[T_co], S]) -> "Reading[S]":
        """The value converted; the same reason where there is none."""
        return Reading(None if self.value is None else convert(self.value), self.reason)
