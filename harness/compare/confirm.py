"""Times that are suspect decided in new processes: base and head in turn, until the pairs tell.

Both processes of a pair meet the same machine, and which goes first changes, so that of equal codes either is as often
the faster: the logarithm of head over base is symmetric about 0, however busy the machine. A process stands in by its
fastest call, which others disturb least. The pairs are looked at when there are as many as ``LOOKS`` says. Each look at
each cell may spend an equal part of the false alarms (Bonferroni), and no cell is judged by the spread of others.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

import numpy as np
from scipy.special import nctdtr, ndtr, stdtrit

from harness.compare.times import EQUIVALENCE, LEAST_SPREAD, verdict
from harness.statistics import Comparison, Verdict

DETECT = 0.10
"""Slowdown that one cares about, as a share of base's time, where nothing else is said."""
LOOKS = (6, 10, 15, 25, 40)
"""Pairs after which a cell is judged; what the last look does not decide stays unclear."""
FALSE_ALARMS = 0.001
"""Probability that any cell of the same code is found worse or better: what is confirmed is the last word."""
POWER = 0.9
"""Probability with which a slowdown that one cares about is found, to be planned for."""
TRIMMED = 0.2
"""Share of the pairs at either end that the mean leaves out."""
TRIMMED_VARIANCE = 1.15
"""Of such a mean over that of the plain one, where the values are normal."""

Pair: TypeAlias = tuple[float, float]
"""Seconds of the fastest call of base's process and of head's."""
Take: TypeAlias = Callable[[Sequence[str], int], Mapping[str, Pair]]
"""Measures these cells in one more process a side; says of each the pair, unless a process failed."""


@dataclass(frozen=True)
class Decision:
    """What the pairs of a cell came to."""

    comparison: Comparison
    pairs: tuple[Pair, ...]

    @property
    def base(self) -> float:
        """Seconds of the typical pair's base; not a number where there is no pair."""
        return median(base for base, _ in self.pairs) if self.pairs else math.nan


def confirm(cells: Sequence[str], take: Take, detect: float = DETECT) -> dict[str, Decision]:
    """Measure the cells until each is decided, at most ``LOOKS[-1]`` times a side.

    Args:
        cells: Their names.
        take: Measures once more, told which cells, and which turn it is.
        detect: The slowdown to find, as a share.
    """
    pairs: dict[str, list[Pair]] = {cell: [] for cell in cells}
    found: dict[str, Decision] = {}
    undecided = list(cells)
    for turn in range(LOOKS[-1]):
        if not undecided:
            break
        for cell, pair in take(undecided, turn).items():
            pairs[cell].append(pair)
        if turn + 1 in LOOKS:
            found |= {cell: Decision(judge(pairs[cell], detect, len(cells)), tuple(pairs[cell])) for cell in undecided}
            undecided = [cell for cell in undecided if found[cell].comparison.verdict is Verdict.UNCLEAR]
    return found


def judge(pairs: Sequence[Pair], detect: float = DETECT, cells: int = 1) -> Comparison:
    """One look at the pairs of one of so many cells.

    Head is worse, or better, where the interval of the ratio leaves 1 out, and ratio and fastest call of all lie beyond
    the square root of 1 + ``detect``, halfway from equal to what one cares about; the same, where a 90 % interval lies
    within that. Ratio and interval are the trimmed mean's (Tukey and McLaughlin 1963). A slowdown of ``detect`` is
    found the same by all looks together with a probability of at most 2 %: its interval has to be off by twice its
    width.
    """
    if len(pairs) < LOOKS[0]:
        return Comparison(_typical(pairs), 0.0, math.inf, Verdict.UNCLEAR)
    ratio, error, freedom = _trimmed_mean([math.log(head / base) for base, head in pairs])
    wide = float(stdtrit(freedom, 1 - _false_alarms(cells) / 2)) * error
    narrow = float(stdtrit(freedom, 1 - EQUIVALENCE / 2)) * error
    fastest = math.log(min(head for _, head in pairs) / min(base for base, _ in pairs))
    return verdict(ratio, fastest, wide, narrow, _matters(detect))


def required_processes(spread: float, detect: float = DETECT, cells: int = 1) -> int | None:
    """Processes a side by which a slowdown is found with a probability of ``POWER``: one of ``LOOKS``; none do.

    Args:
        spread: Standard deviation of the logarithm of the fastest call, from process to process.
        detect: The slowdown, as a share.
        cells: How many are judged together.
    """
    slowdown, matters = math.log1p(detect), _matters(detect)
    for count in LOOKS:
        freedom = count - 2 * int(TRIMMED * count) - 1
        error = math.sqrt(2 * TRIMMED_VARIANCE / count) * max(spread, LEAST_SPREAD)
        critical = float(stdtrit(freedom, 1 - _false_alarms(cells) / 2))
        within = float(nctdtr(freedom, slowdown / error, critical))
        short = float(ndtr((matters - slowdown) / error))
        if within + short <= 1 - POWER:
            return count
    return None


def _false_alarms(cells: int) -> float:
    """Of one cell at one look."""
    return FALSE_ALARMS / (max(1, cells) * len(LOOKS))


def _matters(detect: float) -> float:
    return math.log1p(detect) / 2


def _trimmed_mean(values: Sequence[float]) -> tuple[float, float, int]:
    """The mean without the ends, its standard error from the values with the ends drawn in, the degrees of freedom."""
    ordered, count = np.sort(np.asarray(values, dtype=np.float64)), len(values)
    cut = int(TRIMMED * count)
    kept = ordered[cut : count - cut]
    spread = float(np.std(np.clip(ordered, kept[0], kept[-1]), ddof=1))
    error = spread * math.sqrt(count) / len(kept)
    return float(kept.mean()), max(error, LEAST_SPREAD * math.sqrt(2 / count)), len(kept) - 1


def _typical(pairs: Sequence[Pair]) -> float:
    return median(head / base for base, head in pairs) if pairs else math.nan
