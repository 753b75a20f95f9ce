"""A setting that is a multiple of what was told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from harness.errors import BadInput
from harness.validation.case import Case
from harness.validation.causes.points import INNER_STEPS, SEARCH_SIZE
from harness.validation.hypothesis import Hypothesis
from harness.validation.report import Cause
from harness.validation.search import Error, best_multiple, usual_multiple
from harness.validation.words import sizes

NUDGE = 1.01
"""A multiple near 1."""
ALIGNED = 0.999
"""Cosine at which two directions are one."""


@dataclass(frozen=True)
class Scale:
    """A family of hypotheses of one multiple, which has to be searched for."""

    kind: str
    applies: Callable[[Case], bool]
    gradient: Callable[[Case, float], Tensor]
    words: Callable[[Case, float], str]
    walks: Callable[[Case], bool] = lambda case: True
    """Whether every multiple takes an inner loop of K steps."""
    error: Callable[[Case, float], Tensor] | None = None
    """A cheaper measure of what a multiple leaves unexplained."""

    def __call__(self, case: Case) -> Iterator[Hypothesis]:
        """The best multiple, where there are not so many inner steps that looking for it takes minutes."""
        steps = case.loop.steps if self.walks(case) else 1
        if steps <= INNER_STEPS:
            yield from self._named(case, lambda error: best_multiple(error, steps))

    def usual(self, case: Case) -> Iterator[Hypothesis]:
        """One that is usual, as the number of examples is where a sum was taken for a mean."""
        numbers = [multiple for size in sizes(case.task) for multiple in (size, 1 / size)]
        yield from self._named(case, lambda error: usual_multiple(error, numbers))

    def _named(self, case: Case, search: Callable[[Error], float | None]) -> Iterator[Hypothesis]:
        if case.reference.numel() > SEARCH_SIZE or not self.applies(case):
            return
        error = self.error or self._error
        multiple = search(lambda multiple: error(case, multiple))
        if multiple is not None:
            cause = Cause(self.kind, self.words(case, multiple))
            yield Hypothesis(cause, lambda case: self.gradient(case, multiple), fitted=1)

    def in_line(self, case: Case) -> bool:
        """Whether a small change of the setting changes the gradient along what was returned: then none can tell."""
        if case.reference.numel() > SEARCH_SIZE or not self.applies(case):
            return False
        try:
            change = self.gradient(case, NUDGE) - case.reference
        except (BadInput, RuntimeError):
            return False
        off = case.returned - case.reference
        return abs(float(change.dot(off))) >= ALIGNED * float(change.norm() * off.norm())

    def _error(self, case: Case, multiple: float) -> Tensor:
        found = self.gradient(case, multiple)
        return (case.returned - found) / found.norm()
