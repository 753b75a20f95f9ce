"""How often times of the same code are told apart, and how often those of another are."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from harness.compare.times import LEAST_SPREAD, Times, compare_apart, compare_in_turn
from harness.statistics import Comparison, Verdict
from tests.chance import at_least

Compare = Callable[[Sequence[Times]], list[Comparison]]


def cells(
    rng: np.random.Generator, count: int, processes: int, slowdown: float, spread: float, outliers: float, slowed: int
) -> list[Times]:
    """Cells of which the first ``slowed`` are slower in head; an outlier is a process that met others."""

    def side(factor: float) -> tuple[list[float], float]:
        quiet = factor * np.exp(spread * rng.standard_normal(processes))
        met = np.where(rng.random(processes) < outliers, 1.0 + rng.random(processes), 1.0)
        return list(quiet * met), float(quiet.min()) * 0.97

    found: list[Times] = []
    for index in range(count):
        base, fastest_base = side(1.0)
        head, fastest_head = side(1.0 + slowdown * (index < slowed))
        found.append(Times(base, head, fastest_base, fastest_head))
    return found


def tries(
    compare: Compare, processes: int, *, slowdown: float = 0.0, spread: float = 0.04, outliers: float = 0.02
) -> list[list[Verdict]]:
    rng = np.random.default_rng(processes)
    return [
        [each.verdict for each in compare(cells(rng, 9, processes, slowdown, spread, outliers, slowed=3))]
        for _ in range(200)
    ]


@pytest.mark.parametrize("spread", [0.01, 0.04, 0.08])
@pytest.mark.parametrize("processes", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("compare", [compare_apart, compare_in_turn])
def test_the_same_code_is_seldom_worse(compare: Compare, processes: int, spread: float) -> None:
    alarms = sum(Verdict.WORSE in verdicts for verdicts in tries(compare, processes, spread=spread))
    assert alarms <= 0.04 * 200  # 2 in 50


@pytest.mark.parametrize(
    ("compare", "processes", "slowdown", "power"),
    [
        *((compare_apart, 3, 0.30, 0.88), (compare_apart, 5, 0.25, 0.84), (compare_apart, 10, 0.18, 0.77)),
        *((compare_in_turn, 3, 0.30, 0.86), (compare_in_turn, 5, 0.25, 0.84), (compare_in_turn, 10, 0.15, 0.74)),
    ],
)
def test_a_slowdown_is_found_and_the_other_cells_are_not_blamed(
    compare: Compare, processes: int, slowdown: float, power: float
) -> None:
    """The powers are those of 3,000 slowed cells, less two hundredths."""
    found = tries(compare, processes, slowdown=slowdown, spread=0.03)
    slowed = Counter(verdict for verdicts in found for verdict in verdicts[:3])
    others = Counter(verdict for verdicts in found for verdict in verdicts[3:])
    assert slowed[Verdict.WORSE] >= at_least(slowed.total(), power)
    assert slowed[Verdict.SAME] == slowed[Verdict.BETTER] == 0
    assert others[Verdict.WORSE] <= 0.005 * others.total()


def test_quiet_processes_enough_show_that_nothing_changed() -> None:
    found = Counter(verdict for verdicts in tries(compare_apart, 5, spread=0.02, outliers=0.0) for verdict in verdicts)
    faster = tries(compare_apart, 5, slowdown=-0.3, spread=0.02, outliers=0.0)
    same = Counter(verdict for verdicts in faster for verdict in verdicts[3:])
    assert same[Verdict.SAME] >= 0.95 * same.total()
    assert {verdict for verdicts in faster for verdict in verdicts[:3]} == {Verdict.BETTER}
    assert found[Verdict.WORSE] == 0


@pytest.mark.parametrize(("ratio", "expected"), [(1.3, Verdict.UNCLEAR), (1.0, Verdict.UNCLEAR), (2.0, Verdict.WORSE)])
def test_one_process_a_side_tells_only_what_is_plain(ratio: float, expected: Verdict) -> None:
    one = [Times([1.0], [ratio], 0.9, 0.9 * ratio)]
    assert compare_apart(one)[0].verdict is compare_in_turn(one)[0].verdict is expected


def test_the_scatter_of_single_processes_is_their_spread() -> None:
    def spread(scatter: float) -> float:
        ratios = [1 + scatter * (index % 5 - 2) for index in range(10)]
        each = compare_apart([Times([1.0], [ratio], 1.0, ratio) for ratio in ratios])[2]
        return each.high / each.low

    assert spread(0.0) == pytest.approx(spread(0.01))
    assert spread(0.25) > 1.5 * spread(0.01)


def test_a_slowdown_the_fastest_calls_do_not_show_is_the_machines() -> None:
    base, head = [1.0, 1.01, 1.02, 1.0], [1.6, 1.62, 1.61, 1.6]
    assert compare_apart([Times(base, head, 0.99, 1.58)])[0].verdict is Verdict.WORSE
    assert compare_apart([Times(base, head, 0.99, 1.01)])[0].verdict is Verdict.UNCLEAR
    assert compare_apart([Times(head, base, 1.58, 0.99)])[0].verdict is Verdict.BETTER
    assert compare_apart([Times(head, base, 1.01, 0.99)])[0].verdict is Verdict.UNCLEAR


def test_pairs_cancel_what_slows_both() -> None:
    rng = np.random.default_rng(0)
    slow = np.exp(0.5 * rng.standard_normal(6))
    pairs = [Times(list(slow), list(1.12 * slow), float(slow.min()), 1.12 * float(slow.min()))]
    assert compare_in_turn(pairs)[0].verdict is Verdict.WORSE
    assert compare_apart(pairs)[0].verdict is Verdict.UNCLEAR
    assert compare_in_turn(pairs)[0].ratio == pytest.approx(1.12)


def test_more_cells_take_wider_intervals() -> None:
    one = Times([1.0, 1.05, 0.95], [1.1, 1.15, 1.05], 0.95, 1.05)
    alone, among = compare_apart([one] * 20)[0], compare_apart([one] * 2000)[0]
    assert among.high - among.low > alone.high - alone.low


def test_a_cell_noisier_than_the_others_has_its_own_spread() -> None:
    quiet = Times([1.0, 1.01, 0.99], [1.15, 1.16, 1.14], 0.99, 1.14)
    noisy = Times([1.0, 1.3, 0.8], [1.15, 1.5, 0.9], 0.8, 0.9)
    *found, last = compare_apart([*[quiet] * 10, noisy])
    assert {each.verdict for each in found} == {Verdict.WORSE}
    assert last.verdict is Verdict.UNCLEAR


def test_a_median_knows_less_than_a_mean() -> None:
    widths = [compare_apart([Times([1.0] * n, [1.0] * n, 1.0, 1.0)] * 300)[0].high for n in (2, 4)]
    assert math.log(widths[0]) / math.log(widths[1]) == pytest.approx(math.sqrt(4 / math.pi), rel=0.02)


def test_nothing_to_compare_is_no_verdict() -> None:
    assert compare_apart([]) == compare_in_turn([]) == []


@pytest.mark.parametrize(
    ("pairs", "quantile"), [(2, 63.6567), (3, 9.9248), (4, 5.8409), (6, 4.0321), (11, 3.1693), (31, 2.75)]
)
def test_the_interval_is_students(pairs: int, quantile: float) -> None:
    """The 99.5 % quantiles of the published tables, at one degree of freedom fewer than there are pairs."""
    ratio = compare_in_turn([Times([1.0] * pairs, [1.0] * pairs, 1.0, 1.0)])[0]
    weight = 2 / pairs if pairs == 2 else math.pi / pairs
    assert math.log(ratio.high) == pytest.approx(quantile * LEAST_SPREAD * math.sqrt(weight), rel=2e-5)
