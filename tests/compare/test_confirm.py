"""The rule that confirms: how often it is wrong, how often it finds a slowdown, and whom it asks to measure."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import binom

from harness.compare import confirm as module
from harness.compare.confirm import (
    DETECT,
    FALSE_ALARMS,
    LOOKS,
    POWER,
    Pair,
    Take,
    confirm,
    judge,
    required_processes,
)
from harness.statistics import Verdict

TRIALS = 500
CHANCE = 1e-6
"""Probability that a test of a right rule fails; the seeds make it fail always or never."""
Noise = Callable[[np.random.Generator, float], np.ndarray]


def normal(rng: np.random.Generator, spread: float) -> np.ndarray:
    return spread * rng.standard_normal(2)


def heavy_tailed(rng: np.random.Generator, spread: float) -> np.ndarray:
    return spread * rng.standard_t(3, 2) / math.sqrt(3)


def bursts(rng: np.random.Generator, spread: float) -> np.ndarray:
    """One process in five meets others that make it up to twice as slow."""
    return normal(rng, spread) + np.where(rng.random(2) < 0.2, np.log1p(rng.random(2)), 0.0)


def modes(rng: np.random.Generator, spread: float) -> np.ndarray:
    """Three processes in ten are slow, whatever their code."""
    return normal(rng, spread) + np.where(rng.random(2) < 0.3, 0.3, 0.0)


def spells(rng: np.random.Generator, spread: float) -> np.ndarray:
    """Both processes of a pair meet the same machine, up to three times as slow."""
    return normal(rng, spread) + np.log1p(2.0 * rng.random())


def measuring(rng: np.random.Generator, noise: Noise, spread: float, slowdown: float = 0.0) -> Take:
    def take(cells: Sequence[str], turn: int) -> dict[str, Pair]:
        found: dict[str, Pair] = {}
        for cell in cells:
            base, head = np.exp(noise(rng, spread))
            found[cell] = (float(base), float((1 + slowdown) * head))
        return found

    return take


def verdicts(noise: Noise, spread: float, slowdown: float = 0.0, trials: int = TRIALS) -> Counter[Verdict]:
    take = measuring(np.random.default_rng(0), noise, spread, slowdown)
    return Counter(confirm(["cell"], take)["cell"].comparison.verdict for _ in range(trials))


@pytest.mark.parametrize("spread", [0.005, 0.03, 0.1])
@pytest.mark.parametrize("noise", [normal, heavy_tailed, bursts, modes, spells])
def test_the_same_code_is_hardly_ever_worse_or_better(noise: Noise, spread: float) -> None:
    found = verdicts(noise, spread)
    assert found[Verdict.WORSE] + found[Verdict.BETTER] <= binom.isf(CHANCE, TRIALS, FALSE_ALARMS)


def test_many_cells_together_raise_no_more_alarms() -> None:
    rng, cells = np.random.default_rng(0), [f"cell {index}" for index in range(9)]
    found = [confirm(cells, measuring(rng, bursts, 0.05)) for _ in range(60)]
    alarms = sum(any(each.comparison.verdict is Verdict.WORSE for each in every.values()) for every in found)
    assert alarms <= binom.isf(CHANCE, 60, FALSE_ALARMS)


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.035])
@pytest.mark.parametrize("noise", [normal, heavy_tailed, spells])
def test_a_slowdown_one_cares_about_is_found(noise: Noise, spread: float) -> None:
    found = verdicts(noise, spread, slowdown=DETECT)
    assert found[Verdict.WORSE] >= binom.ppf(CHANCE, TRIALS, POWER)
    assert verdicts(noise, spread, slowdown=1 / (1 + DETECT) - 1)[Verdict.BETTER] >= binom.ppf(CHANCE, TRIALS, POWER)


@pytest.mark.parametrize("spread", [0.01, 0.03, 0.06, 0.1])
def test_a_slowdown_one_cares_about_is_hardly_ever_found_the_same(spread: float) -> None:
    for noise in (normal, heavy_tailed, bursts):
        assert verdicts(noise, spread, slowdown=DETECT)[Verdict.SAME] <= binom.isf(CHANCE, TRIALS, 0.02)


def test_equal_quiet_codes_are_the_same_at_the_first_look() -> None:
    take = measuring(np.random.default_rng(0), normal, 0.01)
    found = [confirm(["cell"], take)["cell"] for _ in range(TRIALS)]
    assert {each.comparison.verdict for each in found} == {Verdict.SAME}
    assert sum(len(each.pairs) == LOOKS[0] for each in found) >= 0.9 * TRIALS


@pytest.mark.parametrize(("spread", "detect", "cells"), [(0.02, 0.1, 1), (0.03, 0.1, 1), (0.05, 0.2, 10)])
def test_so_many_processes_as_are_said_to_be_needed_find_it(spread: float, detect: float, cells: int) -> None:
    needed = required_processes(spread, detect, cells)
    assert needed in LOOKS
    rng = np.random.default_rng(0)

    def found(count: int) -> int:
        trials = [[_pair(rng, spread, detect) for _ in range(count)] for _ in range(TRIALS)]
        return sum(judge(pairs, detect, cells).verdict is Verdict.WORSE for pairs in trials)

    assert found(needed) >= binom.ppf(CHANCE, TRIALS, POWER)
    assert found(LOOKS[LOOKS.index(needed) - 1]) < binom.isf(CHANCE, TRIALS, POWER)


def _pair(rng: np.random.Generator, spread: float, slowdown: float) -> Pair:
    base, head = np.exp(normal(rng, spread))
    return float(base), float((1 + slowdown) * head)


def test_more_is_needed_for_more_noise_a_smaller_slowdown_and_more_cells() -> None:
    def needed(*arguments: float) -> int:
        spread, detect, cells = arguments
        found = required_processes(spread, detect, int(cells))
        return LOOKS[-1] + 1 if found is None else found

    assert needed(0.02, 0.1, 1) < needed(0.04, 0.1, 1) < needed(0.2, 0.1, 1) == LOOKS[-1] + 1
    assert needed(0.03, 0.3, 1) < needed(0.03, 0.1, 1) < needed(0.03, 0.03, 1)
    assert needed(0.03, 0.1, 1) < needed(0.03, 0.1, 10_000)
    assert needed(0.0, 0.1, 1) == needed(0.001, 0.1, 1)  # that all are alike is not believed


def test_what_is_decided_is_not_measured_again() -> None:
    asked: list[tuple[int, tuple[str, ...]]] = []
    heads = {"same": 1.0, "slower": 2.0, "faster": 0.5}
    rng = np.random.default_rng(0)

    def take(cells: Sequence[str], turn: int) -> dict[str, Pair]:
        asked.append((turn, tuple(cells)))
        return {cell: (1.0, heads[cell] if cell in heads else float(np.exp(rng.normal()))) for cell in cells}

    found = confirm(["same", "slower", "noisy", "faster"], take)
    assert {cell: each.comparison.verdict for cell, each in found.items()} == {
        "same": Verdict.SAME,
        "slower": Verdict.WORSE,
        "noisy": Verdict.UNCLEAR,
        "faster": Verdict.BETTER,
    }
    assert list(found) == ["same", "slower", "noisy", "faster"]
    assert [turn for turn, _ in asked] == list(range(LOOKS[-1]))
    assert {cells for turn, cells in asked if turn < LOOKS[0]} == {("same", "slower", "noisy", "faster")}
    assert {cells for turn, cells in asked if turn >= LOOKS[0]} == {("noisy",)}
    assert [len(each.pairs) for each in found.values()] == [LOOKS[0], LOOKS[0], LOOKS[-1], LOOKS[0]]


def test_it_stops_when_all_is_decided() -> None:
    asked: list[int] = []

    def take(cells: Sequence[str], turn: int) -> dict[str, Pair]:
        asked.append(turn)
        return dict.fromkeys(cells, (1.0, 1.0))

    confirm(["a", "b"], take)
    assert asked == list(range(LOOKS[0]))
    assert confirm([], take) == {}
    assert len(asked) == LOOKS[0]


def test_processes_that_fail_are_no_pairs() -> None:
    def take(cells: Sequence[str], turn: int) -> dict[str, Pair]:
        return dict.fromkeys(cells, (1.0, 3.0)) if turn % 3 == 0 else {}

    seldom = confirm(["cell"], take)["cell"]
    assert (seldom.comparison.verdict, len(seldom.pairs)) == (Verdict.WORSE, 9)  # at the look after 25 turns
    never = confirm(["cell"], lambda cells, turn: {})["cell"]
    assert (never.comparison.verdict, never.pairs) == (Verdict.UNCLEAR, ())
    assert math.isnan(never.base)


def test_a_change_has_to_show_in_the_fastest_call_of_all() -> None:
    pairs = [(1.0, 2.0)] * 9
    assert judge([*pairs, (1.0, 2.0)]).verdict is Verdict.WORSE
    assert judge([*pairs, (1.0, 1.0)]).verdict is Verdict.UNCLEAR


def test_what_does_not_matter_is_the_same() -> None:
    assert judge([(1.0, 1.02)] * 40, 0.10).verdict is Verdict.SAME
    assert judge([(1.0, 1.02)] * 40, 0.02).verdict is Verdict.WORSE
    assert judge([(1.02, 1.0)] * 40, 0.02).verdict is Verdict.BETTER


def test_the_interval_is_that_of_the_trimmed_mean() -> None:
    """Against the trimmed mean and the interval that SciPy computes, where a fifth is a whole number of pairs."""
    from scipy.stats import mstats

    logarithms = [0.31, -0.42, 0.05, 0.11, 0.72, -0.13, 0.24, 0.35, -0.06, 0.47]
    found = judge([(1.0, math.exp(each)) for each in logarithms])
    low, high = mstats.trimmed_mean_ci(logarithms, (0.2, 0.2), alpha=FALSE_ALARMS / len(LOOKS))
    assert math.log(found.ratio) == pytest.approx(mstats.trimmed_mean(logarithms, (0.2, 0.2)))
    assert (math.log(found.low), math.log(found.high)) == (pytest.approx(low), pytest.approx(high))


def test_every_look_and_every_cell_has_its_part_of_the_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(1.0, math.exp(each)) for each in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]

    def width(cells: int) -> float:
        found = judge(pairs, DETECT, cells)
        return math.log(found.high / found.low)

    assert width(1) < width(2) < width(100)
    of_ten = width(2 * len(LOOKS))
    monkeypatch.setattr(module, "LOOKS", LOOKS * 2)
    assert width(len(LOOKS)) == pytest.approx(of_ten)
