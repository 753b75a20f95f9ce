"""Numbers found, with as many digits as tell them from what they should be."""

import math
from collections.abc import Mapping

from torch import Tensor
from torch.utils import _pytree as pytree

from harness.bilevel import Task
from harness.validation.case import Case

NEAR = 1e-3
"""Relative distance from 1 below which a multiple is told by what is over."""
NAMED = 1e-3
"""Relative distance at which a factor is one of known origin."""


def times(multiple: float) -> str:
    """A multiple, as in ``2`` or ``(1 + 1.0e-07)``."""
    over = multiple - 1
    if 0 < abs(over) < NEAR:
        return f"(1 {'+' if over > 0 else '−'} {abs(over):.1e})"
    return f"{multiple:.4g}"


def apart(found: float, given: float) -> str:
    """A number with at least two digits of what tells it from another."""
    over = abs(found / given - 1) if given else 1.0
    digits = max(4, 2 - math.floor(math.log10(over))) if over > 0 else 4
    return f"{found:.{min(digits, 17)}g}"


def lambda_words(case: Case, multiple: float) -> str:
    """λ times ``multiple``, beside what it should be."""
    lam = case.loop.lam
    if isinstance(lam, dict):
        return f"λ times {times(multiple)}"
    found = multiple * lam
    more = f"{abs(found - lam):.4g} {'more' if found > lam else 'less'}"
    return f"λ = {apart(found, lam)} instead of {lam:.4g} ({times(multiple)} times that, or {more})"


def origin(case: Case, factor: float) -> str:
    """Where a factor may come from, as in ``" (= 1/K)"``; empty where nothing is known that has its size."""
    near = [name for name, value in _known(case).items() if value != 1 and math.isclose(factor, value, rel_tol=NAMED)]
    return f" (= {near[0]})" if near else ""


def sizes(task: Task) -> list[float]:
    """Numbers of examples of the two sets, as far as the data's leading dimensions say them."""
    leaves = [
        each for each in pytree.tree_leaves((task.support, task.query)) if isinstance(each, Tensor) and each.dim()
    ]
    return [float(size) for size in sorted({len(each) for each in leaves})]


def _known(case: Case) -> Mapping[str, float]:
    steps = float(case.steps or 1)
    known = {"1/K": 1 / steps, "K": steps, "α": case.lr, "1/α": 1 / case.lr}
    lam = case.loop.lam
    if not isinstance(lam, dict) and lam > 0:
        known = {"λ": lam, "1/λ": 1 / lam} | known
    for size in sizes(case.task):
        known |= {f"{size:.0f}, the number of examples": size, f"1/{size:.0f}, of {size:.0f} examples": 1 / size}
    return known
