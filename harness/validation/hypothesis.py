"""What a function may compute instead of what it should."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from harness.validation.case import Case
from harness.validation.report import Cause


@dataclass(frozen=True)
class Hypothesis:
    """A cause, and the gradient that would be returned if it were the right one."""

    cause: Cause
    gradient: Callable[[Case], Tensor]
    fitted: int = 0
    """How many real numbers of it were chosen to fit the first case."""
    counted: int = 0
    """How many whole numbers were."""
    by_draw: bool = False
    """Whether they are chosen anew for every case."""
    within: Tensor | None = None
    """A boolean mask of the entries it is about, where it says of the others that they are right."""
    scalable: bool = True
    """Whether a constant times it is a cause worth naming."""


Family: TypeAlias = Callable[[Case], Iterator[Hypothesis]]
"""Hypotheses of one kind, fitted to a case."""
