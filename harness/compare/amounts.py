"""Verdicts on numbers that are the same at every run of the same code: bytes, operations, counts, errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import get_args

from harness.cell import METRICS, Cell, Reference
from harness.statistics import Verdict

MINIMUM_EFFECT = 1e-3
"""Growth of bytes, operations and counts, as a share, that does not matter."""
ERROR_EFFECT = 1e-4
"""The same of an error that is not of rounding; …"""
ERROR_RESOLUTION = 1e-6
"""… nor does growth by less than this, unless the error is half as large again."""
ROUNDING = 1e-10
"""An error of float64 arithmetic, amplified by an ill-conditioned problem: what is below may be anything."""
EPSILONS = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7}
ROUNDING_EPSILONS = 10.0
"""A rounding error of fewer units in the last place may be anything, and a larger one twice as large by chance."""

SEVERITY = (Verdict.WORSE, Verdict.UNCLEAR, Verdict.BETTER, Verdict.SAME)

_AMOUNTS = {
    *("peak_bytes", "requested_bytes", "baseline_bytes", "retained_bytes"),
    *("flops", "gradient_count", "hvp_count", "step_size_hvp_count", "negative_curvature"),
}
_REFERENCES = get_args(Reference)
_ROUNDING_ERROR = "rounding_relative_error"
_COSINES = {f"{reference}_cosine" for reference in _REFERENCES}
_ERRORS = {
    *(f"{reference}_relative_error" for reference in _REFERENCES),
    *(_ROUNDING_ERROR, "inner_residual", "linear_residual"),
}

JUDGED = tuple(name for name in METRICS if name in _AMOUNTS | _ERRORS | _COSINES)
"""Of which less is better, or for a cosine more; a loss or a ratio of norms is better neither way."""


@dataclass(frozen=True)
class Judged:
    """The verdict on one metric of one cell, and the numbers that decided."""

    verdict: Verdict
    base: float
    head: float


def judge(metric: str, cell: Cell, base: Sequence[Sequence[float]], head: Sequence[Sequence[float]]) -> Judged:
    """Compare the samples of a metric of ``JUDGED``, at least one process a side with at least one sample each.

    Samples are of seeds or calls, compared one by one; the worst decides. Where processes of one code differ among
    themselves, all of head has to be beyond all of base.
    """
    if _agree(base) and _agree(head) and len(base[0]) == len(head[0]):
        found = [Judged(_verdict(metric, cell, b, h), b, h) for b, h in zip(base[0], head[0], strict=True)]
        return min(found, key=lambda each: SEVERITY.index(each.verdict))
    bases, heads = ([value for process in side for value in process] for side in (base, head))
    return Judged(_verdict_on_ranges(metric, cell, bases, heads), median(bases), median(heads))


def has_grown(metric: str, cell: Cell, before: float, after: float) -> bool:
    """Whether ``after`` is worse than ``before`` by more than may be chance, or does not matter."""
    low, high = _badness(metric, before), _badness(metric, after)
    return high > low and high - low > _allowance(metric, cell, low)


def _badness(metric: str, value: float) -> float:
    if math.isnan(value):
        return math.inf
    return 1.0 - value if metric in _COSINES else value


def _allowance(metric: str, cell: Cell, badness: float) -> float:
    if metric in _AMOUNTS:
        return MINIMUM_EFFECT * badness
    if metric == _ROUNDING_ERROR:
        return badness + ROUNDING_EPSILONS * EPSILONS[cell.dtype]
    return min(ROUNDING + badness / 2, max(ERROR_RESOLUTION, ERROR_EFFECT * badness))


def _verdict(metric: str, cell: Cell, base: float, head: float) -> Verdict:
    if has_grown(metric, cell, base, head):
        return Verdict.WORSE
    return Verdict.BETTER if has_grown(metric, cell, head, base) else Verdict.SAME


def _verdict_on_ranges(metric: str, cell: Cell, base: Sequence[float], head: Sequence[float]) -> Verdict:
    def ends(values: Sequence[float]) -> tuple[float, float]:
        ordered = sorted(values, key=lambda value: _badness(metric, value))
        return ordered[0], ordered[-1]

    (base_low, base_high), (head_low, head_high) = ends(base), ends(head)
    if has_grown(metric, cell, base_high, head_low):
        return Verdict.WORSE
    if has_grown(metric, cell, head_high, base_low):
        return Verdict.BETTER
    apart = has_grown(metric, cell, base_low, head_high) or has_grown(metric, cell, head_low, base_high)
    return Verdict.UNCLEAR if apart else Verdict.SAME


def _agree(processes: Sequence[Sequence[float]]) -> bool:
    return len({str(list(values)) for values in processes}) == 1  # as text, so that nan is nan
