"""The same code against itself, and against itself with more work: what the comparison makes of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median, quantiles, stdev
from time import perf_counter
from typing import TypeAlias

import torch

from harness.doctor.finding import Finding
from harness.statistics.paired import MINIMUM_EFFECT, Comparison, Verdict, compare_paired, required_pairs
from harness.statistics.series import SIGMA_OF_MAD, mad

Pairs: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""Seconds of base and of head, taken in turn."""
Take: TypeAlias = Callable[[float, int], Pairs]
"""Times so many pairs, head having this share more work than base."""
Compare: TypeAlias = Callable[[Sequence[float], Sequence[float]], Comparison]

STEPS = 20
"""Products in one call of base; head with 5 % more work has one more."""
EFFECTS = (0.05, 0.1, 0.2, 0.5)
"""Slowdowns that whole numbers of steps make; where the noise hides the first, the next is planted."""
POWER = 0.95
"""Share of the trials whose verdict has to be right."""
PLANNED_POWER = 0.99
"""What the trials are planned for, lest a right comparison miss the share by bad luck."""
PILOT_PAIRS = 100
MIN_PAIRS, MAX_PAIRS = 60, 500
MARGIN = 3.0
"""Pairs taken for each pair that the pilot's noise asks for, up to ``MAX_PAIRS``: noise rises and falls."""
_SIDE = {"cpu": 96, "cuda": 1024}


def paired_work(device: torch.device) -> Take:
    """Calls of a known number of equal matrix products; which of the two goes first changes from pair to pair."""
    side = _SIDE.get(device.type, 96)
    matrix = torch.full((side, side), 1 / side, device=device)

    def seconds(steps: int) -> float:
        start = perf_counter()
        for _ in range(steps):
            torch.mm(matrix, matrix)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return perf_counter() - start

    def take(effect: float, pairs: int) -> Pairs:
        more = round(STEPS * (1 + effect))
        base, head = list[float](), list[float]()
        for pair in range(pairs):
            for steps, times in ((STEPS, base), (more, head))[:: -1 if pair % 2 else 1]:
                times.append(seconds(steps))
        return base, head

    take(0.0, 5)
    return take


def told_apart(runs: int, take: Take, compare: Compare = compare_paired) -> Finding:
    """A planted slowdown of 5 % is called one in nearly all trials, where the noise lets ``MAX_PAIRS`` show it.

    Where it does not, the finding is unavailable and says what slowdown is told apart instead; that one is planted, and
    missing it is a failure.
    """
    name = f"slowdown of {EFFECTS[0]:.0%} told from noise"
    expected = f"at least {_needed(runs)} of {runs} trials"
    noise = _noise([take(0.0, PILOT_PAIRS)])
    effect = next((each for each in EFFECTS if pairs_to_tell(noise, each) <= MAX_PAIRS), None)
    if effect is None:
        return Finding.unavailable(name, expected, f"too noisy even for {EFFECTS[-1]:.0%}; {_said(noise)}")
    pairs = _planned(pairs_to_tell(noise, effect))
    trials = _Trials.of(runs, effect, pairs, take, compare)
    told = trials.count(Verdict.WORSE)
    measured = f"{told} of {runs}, {pairs} pairs each"
    remark = f"{pairs_to_tell(trials.noise, effect, POWER)} needed for power {POWER:g}; {_said(trials.noise)}"
    if told < _needed(runs):
        return _missed(name, expected, measured, remark, pairs_to_tell(trials.noise, effect) > pairs)
    if effect > EFFECTS[0]:
        return Finding(name, expected, measured, "unavailable", f"too noisy: told apart from {effect:.0%} on; {remark}")
    return Finding(name, expected, measured, "pass", remark)


def declared_equal(runs: int, take: Take, compare: Compare = compare_paired) -> Finding:
    """Two identical codes are called the same in nearly all trials, where the noise lets ``MAX_PAIRS`` show it.

    Where it does not, the finding is unavailable; calling them different is a failure nevertheless.
    """
    name, expected = "identical codes declared equal", f"at least {_needed(runs)} of {runs} trials"
    pairs = _planned(pairs_to_equal(_noise([take(0.0, PILOT_PAIRS)])))
    trials = _Trials.of(runs, 0.0, pairs, take, compare)
    same, unclear = trials.count(Verdict.SAME), trials.count(Verdict.UNCLEAR)
    measured = f"{same} of {runs}, {pairs} pairs each"
    remark = (
        f"within ±{MINIMUM_EFFECT:.0%}; {pairs_to_equal(trials.noise, POWER)} needed for power {POWER:g}; "
        f"{_said(trials.noise)}"
    )
    if same < _needed(runs):
        excused = pairs_to_equal(trials.noise) > pairs and same + unclear >= _needed(runs)
        return _missed(name, expected, measured, remark, excused)
    return Finding(name, expected, measured, "pass", remark)


def pairs_to_tell(noise: float, effect: float, power: float = PLANNED_POWER) -> int:
    """Pairs with which a slowdown is called one with probability ``power``."""
    return required_pairs(noise, effect, power=power)


def pairs_to_equal(noise: float, power: float = PLANNED_POWER) -> int:
    """Pairs with which identical codes are called the same with probability ``power``.

    The interval has to end before the smallest effect on either side: as one of a slowdown that large has to end above
    1, but on both sides at once.
    """
    return required_pairs(noise, MINIMUM_EFFECT, power=(1 + power) / 2, minimum_effect=0.0)


def _planned(needed: int) -> int:
    return min(max(MIN_PAIRS, math.ceil(MARGIN * needed)), MAX_PAIRS)


@dataclass(frozen=True)
class _Trials:
    """Trials of one kind."""

    verdicts: list[Verdict]
    noise: float

    @classmethod
    def of(cls, runs: int, effect: float, pairs: int, take: Take, compare: Compare) -> "_Trials":
        taken = [take(effect, pairs) for _ in range(runs)]
        return cls([compare(base, head).verdict for base, head in taken], _noise(taken))

    def count(self, verdict: Verdict) -> int:
        return self.verdicts.count(verdict)


def _noise(taken: Sequence[Pairs]) -> float:
    """Standard deviation of the logarithm of one pair's ratio, were the pairs normal and knew nothing of each other.

    From the middle half of the ratios or from the middle three fifths, whichever makes it more: of ``MIN_PAIRS`` pairs
    the comparison's interval ends about there. Where the medians of the trials are further apart than such noise makes
    them, it comes in spells, and that spread is what counts.
    """
    ratios = [[math.log(b / a) for a, b in zip(base, head, strict=True)] for base, head in taken]
    within = median(max(SIGMA_OF_MAD * mad(each), _of_quintiles(each)) for each in ratios)
    if len(ratios) < 2:
        return within
    of_medians = stdev(median(each) for each in ratios)
    return max(within, of_medians * math.sqrt(len(ratios[0]) * 2 / math.pi))


def _of_quintiles(ratios: Sequence[float]) -> float:
    low, *_, high = quantiles(ratios, n=5)
    return (high - low) / 2 / NormalDist().inv_cdf(0.8)


def _missed(name: str, expected: str, measured: str, remark: str, excused: bool) -> Finding:
    if excused:
        return Finding(name, expected, measured, "unavailable", f"too noisy for that many: {remark}")
    return Finding(name, expected, measured, "fail", remark)


def _needed(runs: int) -> int:
    return math.ceil(POWER * runs)


def _said(noise: float) -> str:
    return f"noise of a pair {noise:.1%}"
