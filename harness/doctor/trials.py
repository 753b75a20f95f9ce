"""Equal codes, and one that is slower by a known share: what the rules of ``compare`` make of them on this machine."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import median, stdev
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.special import bdtrc, betaincinv

from harness.cell import Cell, Measurement, Part, Status
from harness.compare import confirm as confirmation
from harness.compare import times
from harness.compare.confirm import DETECT, LOOKS, POWER, confirm, required_processes
from harness.compare.processes import fastest_call, time_metric, typical_call
from harness.compare.suspects import share
from harness.compare.times import Times, compare_apart, compare_in_turn
from harness.doctor.finding import Finding
from harness.statistics import Comparison, Verdict

PLUGINS = ("harness.doctor.slowed",)
"""What a worker imports to know the estimator of :func:`planted_cell`."""
DRAWS = 500
"""Trials of each rule, on pairs drawn from those measured."""
SLOWDOWNS = (0.03, 0.05, 0.07, 0.10, 0.15, 0.20, 0.30, 0.50, 0.75, 1.00, 2.00)
"""Of which the smallest that a rule finds with a probability of ``POWER`` is looked for."""
PROCESSES = 3
"""Of each cell of a run that is repeated."""
CHANCE = 1e-6
"""Probability that a rule with as many false alarms as it may have is said to have more."""
EXCUSED = 2.0
"""Missing the planted slowdown is no fault where so many times the noise would hide it."""


class Process(NamedTuple):
    """Seconds of one call in a process."""

    typical: float
    fastest: float


Measure: TypeAlias = Callable[[Cell, int], Measurement]
"""Measures a cell in a process of its own, which of its processes being told."""
Pair: TypeAlias = tuple[Process, Process]
"""Base and head, one after the other."""
Draw: TypeAlias = Callable[[], Pair]


@dataclass(frozen=True)
class Rule:
    """A rule by which ``compare`` judges times."""

    verdict: Callable[[Draw], Verdict]
    """On as many pairs as it draws."""
    false_alarms: float
    """Most of the trials on equal codes that it may call different."""
    finds_planted: bool = False
    """Whether it promises to find a slowdown of ``DETECT``."""

    @property
    def promise(self) -> str:
        """In words."""
        alarms = f"at most {share(self.false_alarms)} false alarms"
        return f"{alarms}, {share(DETECT)} found in {share(POWER)}" if self.finds_planted else alarms


def planted_cell(slowdown: float, device: str) -> Cell:
    """A small cell whose call takes ``slowdown`` longer than it need; its process takes a fraction of a second."""
    return Cell(
        problem=Part(name="linear", parameters={"dim": 50}),
        estimator=Part(name="maml-slowed", parameters={"lr": 0.01, "slowdown": slowdown}),
        label="MAML",
        steps=4,
        device=device,
        measure=("time",),
        min_samples=3,
        min_seconds=0.1,
        max_seconds=0.2,
    )


@dataclass(frozen=True)
class Pool:
    """Pairs measured in turn."""

    equal: Sequence[Pair]
    """Of one code with itself."""
    slowed: Sequence[Pair]
    """Of it with one that is slower by ``DETECT``."""

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of the fastest call, from process to process."""
        return stdev(log(head.fastest / base.fastest) for base, head in self.equal) / sqrt(2)


def rules_of_compare(device: str, turns: int, measure: Measure) -> list[Finding]:
    """How often each rule is wrong about equal codes, and from which slowdown on it finds one.

    Args:
        device: ``cpu`` or ``cuda:I``.
        turns: In how many processes each of the three codes is measured: base, the same again, the slower one.
        measure: In a worker that has imported ``PLUGINS``.
    """
    promise = RULES[CONFIRM].promise
    if turns < LOOKS[0]:
        return [Finding.unavailable(CONFIRM, promise, f"takes {LOOKS[0]} processes or more: --runs {LOOKS[0]}")]
    codes = [planted_cell(slowdown, device) for slowdown in (0.0, 0.0, DETECT)]
    taken: list[list[Process]] = []
    for turn in range(turns):
        way = slice(None, None, 1 if turn % 2 == 0 else -1)
        found = [measure(code, turn) for code in codes[way]]
        failed = next((each for each in found if each.status is not Status.OK), None)
        if failed is not None:
            return [Finding(CONFIRM, promise, None, "fail", failed.ending)]
        taken.append([_process(each) for each in found[way]])
    return certified(Pool([(base, same) for base, same, _ in taken], [(base, slow) for base, _, slow in taken]))


def _process(measurement: Measurement) -> Process:
    metric = time_metric([measurement])
    return Process(typical_call(measurement, metric), fastest_call(measurement, metric))


def certified(pool: Pool, rules: Mapping[str, Rule] | None = None) -> list[Finding]:
    """Each rule on pairs drawn from the pool; of equal codes either side may be base."""
    return [_certified(name, rule, pool) for name, rule in (rules or RULES).items()]


def _certified(name: str, rule: Rule, pool: Pool) -> Finding:
    draw = _drawn(pool.equal, swapped=True)
    alarms = sum(rule.verdict(draw) in (Verdict.WORSE, Verdict.BETTER) for _ in range(DRAWS))
    found = _found(rule, _drawn(pool.slowed))
    place = bisect_left(SLOWDOWNS, POWER, key=lambda s: _found(rule, _drawn(pool.equal, swapped=True, factor=1 + s)))
    least = f"from {share(SLOWDOWNS[place])} on" if place < len(SLOWDOWNS) else f"not even {share(SLOWDOWNS[-1])}"
    true = median(head.fastest / base.fastest for base, head in pool.slowed) - 1
    measured = f"{alarms} of {DRAWS}, planted {share(DETECT)} found in {share(found)}"
    remark = (
        f"false alarms below {share(at_most(alarms, DRAWS))}; slowdowns found {least}; drawn from {len(pool.equal)} "
        f"pairs, processes {share(pool.spread)} apart, planted one {true:+.1%}"
    )
    if too_many(alarms, DRAWS, rule.false_alarms):
        return Finding(name, rule.promise, measured, "fail", remark)
    if rule.finds_planted and found < POWER:
        excused = required_processes(EXCUSED * pool.spread) is None
        return Finding(name, rule.promise, measured, "unavailable" if excused else "fail", remark)
    return Finding(name, rule.promise, measured, "pass", remark)


def at_most(count: int, of: int) -> float:
    """Upper end of the 95 % interval of a share (Clopper and Pearson)."""
    return float(betaincinv(count + 1, of - count, 0.975)) if count < of else 1.0


def at_least(count: int, of: int) -> float:
    """Its lower end."""
    return float(betaincinv(count, of - count + 1, 0.025)) if count else 0.0


def too_many(alarms: int, of: int, allowed: float) -> bool:
    """Whether a rule with a share of false alarms that is allowed hardly ever has so many."""
    return alarms > 0 and float(bdtrc(alarms - 1, of, allowed)) < CHANCE


def _found(rule: Rule, draw: Draw) -> float:
    """Share of the trials in which head is found slower."""
    return sum(rule.verdict(draw) is Verdict.WORSE for _ in range(DRAWS)) / DRAWS


def _drawn(pairs: Sequence[Pair], *, swapped: bool = False, factor: float = 1.0) -> Draw:
    """Draws one pair after another, seeded; swaps the sides of half of them by chance, and slows head."""
    rng = np.random.default_rng(0)

    def draw() -> Pair:
        base, head = pairs[int(rng.integers(len(pairs)))]
        if swapped and rng.random() < 0.5:
            base, head = head, base
        return base, Process(factor * head.typical, factor * head.fastest)

    return draw


def _few(compare: Callable[[Sequence[Times]], list[Comparison]]) -> Callable[[Draw], Verdict]:
    """The rule on runs that were repeated."""

    def verdict(draw: Draw) -> Verdict:
        base, head = zip(*(draw() for _ in range(PROCESSES)), strict=True)
        typical = [[each.typical for each in side] for side in (base, head)]
        fastest = [min(each.fastest for each in side) for side in (base, head)]
        return compare([Times(typical[0], typical[1], fastest[0], fastest[1])])[0].verdict

    return verdict


def _confirmed(draw: Draw) -> Verdict:
    def take(cells: Sequence[str], turn: int) -> dict[str, confirmation.Pair]:
        base, head = draw()
        return dict.fromkeys(cells, (base.fastest, head.fastest))

    return confirm([CONFIRM], take)[CONFIRM].comparison.verdict


CONFIRM = "compare --confirm"
RULES: Mapping[str, Rule] = {
    f"compare, two runs of {PROCESSES} processes": Rule(_few(compare_apart), times.FALSE_ALARMS),
    f"compare, two revisions, {PROCESSES} processes": Rule(_few(compare_in_turn), times.FALSE_ALARMS),
    CONFIRM: Rule(_confirmed, confirmation.FALSE_ALARMS, finds_planted=True),
}
