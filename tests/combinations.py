"""Combinations of what is tested: some where quick, all where thorough."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import pytest


def by_turns(one: Iterable[Any], other: Sequence[Any], rarely: Sequence[Any] = ()) -> Iterator[Any]:
    """Every pair, for ``parametrize``: each of the first with one of the other by turns, the rest thorough.

    Args:
        one: Each of which is tested.
        other: With which.
        rarely: Those of the other that are slow, where thorough alone.
    """
    often = [each for each in other if each not in rarely]
    for place, each in enumerate(one):
        for its in other:
            yield pytest.param(each, its, marks=() if its == often[place % len(often)] else pytest.mark.thorough)


def crossing(one: Sequence[Any], other: Sequence[Any]) -> Iterator[Any]:
    """Every pair, for ``parametrize``: those with the first of either side, and a diagonal; the rest thorough."""
    for (row, each), (column, its) in product(enumerate(one), enumerate(other)):
        here = row == 0 or column == 0 or row % len(other) == column % len(one)
        yield pytest.param(each, its, marks=() if here else pytest.mark.thorough)
