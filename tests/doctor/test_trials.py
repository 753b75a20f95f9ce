"""The rules of ``compare`` certified on noise made up: seeded, and alike at every run."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

import harness.doctor.slowed as slowed
from harness.cell import Cell, Measurement, Status
from harness.compare.confirm import DETECT, LOOKS, required_processes
from harness.doctor.finding import Finding
from harness.doctor.trials import (
    CONFIRM,
    DRAWS,
    EXCUSED,
    PLUGINS,
    RULES,
    Draw,
    Pair,
    Pool,
    Process,
    at_least,
    at_most,
    certified,
    planted_cell,
    rules_of_compare,
    too_many,
)
from harness.registry import ESTIMATORS
from harness.statistics import Verdict
from harness.worker import build_estimator, build_problem


def pool(spread: float, slowdown: float = DETECT, turns: int = 30) -> Pool:
    """As measured on a machine whose processes are so far apart, a typical call 5 % above the fastest."""
    rng = np.random.default_rng(0)

    def process(factor: float = 1.0) -> Process:
        fastest = 1e-3 * factor * float(np.exp(spread * rng.standard_normal()))
        return Process(1.05 * fastest, fastest)

    def pairs(factor: float) -> list[Pair]:
        return [(process(), process(factor)) for _ in range(turns)]

    return Pool(pairs(1.0), pairs(1 + slowdown))


def verdicts(findings: Sequence[Finding]) -> dict[str, str]:
    return {each.name: each.verdict for each in findings}


def always(said: Verdict) -> list[Finding]:
    return certified(pool(0.01), {CONFIRM: replace(RULES[CONFIRM], verdict=lambda draw: said)})


@pytest.mark.parametrize("spread", [0.001, 0.01, 0.02])
def test_the_rules_pass_where_it_is_quiet(spread: float) -> None:
    found = certified(pool(spread))
    assert set(verdicts(found).values()) == {"pass"}
    assert [each.name for each in found] == list(RULES)
    assert found[-1].expected == "at most 0.1% false alarms, 10% found in 90%"
    assert found[-1].measured is not None
    assert found[-1].measured.startswith(f"0 of {DRAWS}, planted 10% found in ")


def test_the_smallest_slowdown_is_told() -> None:
    quiet, noisy = certified(pool(0.005)), certified(pool(0.06))

    def least(finding: Finding) -> int:
        assert finding.remark is not None
        return int(finding.remark.partition("slowdowns found from ")[2].partition("%")[0])

    apart, in_turn, confirmed = map(least, quiet)
    assert confirmed <= 7
    assert confirmed < apart
    assert confirmed < in_turn
    assert least(noisy[-1]) > confirmed
    assert quiet[-1].remark is not None
    assert quiet[-1].remark.startswith(f"false alarms below {100 * at_most(0, DRAWS):.3g}%; ")


@pytest.mark.parametrize(
    ("said", "expected"),
    [(Verdict.WORSE, "fail"), (Verdict.BETTER, "fail"), (Verdict.SAME, "fail"), (Verdict.UNCLEAR, "fail")],
)
def test_a_rule_that_always_says_one_thing_fails(said: Verdict, expected: str) -> None:
    assert verdicts(always(said)) == {CONFIRM: expected}


def test_a_rule_that_is_wrong_now_and_then_fails() -> None:
    said = iter(range(10**6))

    def moody(draw: Draw) -> Verdict:
        return Verdict.WORSE if next(said) % 20 == 0 else RULES[CONFIRM].verdict(draw)

    assert verdicts(certified(pool(0.01), {CONFIRM: replace(RULES[CONFIRM], verdict=moody)})) == {CONFIRM: "fail"}


def test_head_and_base_swapped_fail() -> None:
    def swapped(draw: Draw) -> Verdict:
        def other() -> Pair:
            base, head = draw()
            return head, base

        return RULES[CONFIRM].verdict(other)

    assert verdicts(certified(pool(0.01), {CONFIRM: replace(RULES[CONFIRM], verdict=swapped)})) == {CONFIRM: "fail"}


def test_noise_excuses_what_it_hides_and_no_false_alarm() -> None:
    noisy = pool(0.3)
    assert required_processes(EXCUSED * noisy.spread) is None
    [finding] = certified(noisy, {CONFIRM: RULES[CONFIRM]})
    assert (finding.verdict, finding.measured is None) == ("unavailable", False)
    wrong = replace(RULES[CONFIRM], verdict=lambda draw: Verdict.WORSE)
    assert verdicts(certified(noisy, {CONFIRM: wrong})) == {CONFIRM: "fail"}


def test_only_the_rule_that_promises_it_has_to_find_the_planted_slowdown() -> None:
    blind = {name: replace(rule, verdict=lambda draw: Verdict.UNCLEAR) for name, rule in RULES.items()}
    assert list(verdicts(certified(pool(0.01), blind)).values()) == ["pass", "pass", "fail"]


def test_intervals_of_shares_are_those_of_clopper_and_pearson() -> None:
    from scipy.stats import binomtest

    for count, of in ((0, 300), (3, 300), (99, 100), (100, 100)):
        exact = binomtest(count, of).proportion_ci(0.95, "exact")
        assert (at_least(count, of), at_most(count, of)) == (pytest.approx(exact.low), pytest.approx(exact.high))
    assert not too_many(0, 300, 0.001)
    assert not too_many(3, 300, 0.001)
    assert too_many(10, 300, 0.001)


def measured(seconds: Sequence[float], status: Status = Status.OK) -> tuple[list[tuple[float, int]], object]:
    """What measures cells as long as it is told, and the cells it was asked for."""
    asked: list[tuple[float, int]] = []
    told = iter(seconds)

    def measure(cell: Cell, turn: int) -> Measurement:
        slowdown = cell.estimator.parameters["slowdown"]
        assert isinstance(slowdown, float)
        asked.append((slowdown, turn))
        fields = {"status": status, "reason": "no luck", "started_at": "now", "repeat": turn}
        return Measurement.model_validate(
            {"key": cell.key, "cell": cell, "metrics": {"wall_seconds": [next(told) * (1 + slowdown)] * 3}, **fields}
        )

    return asked, measure


def test_the_three_codes_take_turns() -> None:
    asked, measure = measured([1.0] * 18)
    found = rules_of_compare("cpu", 6, measure)  # pyright: ignore[reportArgumentType]
    assert [each for each in asked if each[1] < 2] == [(0.0, 0), (0.0, 0), (DETECT, 0), (DETECT, 1), (0.0, 1), (0.0, 1)]
    assert set(verdicts(found).values()) == {"pass"}
    assert "planted one +10.0%" in (found[-1].remark or "")


def test_a_cell_that_cannot_be_measured_fails() -> None:
    _, measure = measured([1.0] * 18, Status.CRASH)
    [finding] = rules_of_compare("cpu", 6, measure)  # pyright: ignore[reportArgumentType]
    assert (finding.name, finding.verdict, finding.remark) == (CONFIRM, "fail", "crash: no luck")


def test_too_few_processes_are_no_fault() -> None:
    _, measure = measured([])
    [finding] = rules_of_compare("cpu", LOOKS[0] - 1, measure)  # pyright: ignore[reportArgumentType]
    assert (finding.verdict, finding.remark) == ("unavailable", "takes 6 processes or more: --runs 6")


@pytest.mark.parametrize("slowdown", [0.0, 0.1, 0.5])
def test_the_planted_estimator_is_slower_by_what_it_says(slowdown: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that counts how often it is read, and a MAML that takes a hundred of its ticks."""
    assert (slowed.__name__,) == PLUGINS
    cell = planted_cell(slowdown, "cpu")
    estimator, problem = build_estimator(cell), build_problem(cell)
    assert type(estimator) is ESTIMATORS.get("maml-slowed")
    ticks = 0
    maml = slowed.Maml.estimate

    def clock() -> float:
        nonlocal ticks
        ticks += 1
        return float(ticks)

    def timed(*arguments: object) -> object:
        nonlocal ticks
        ticks += 99
        return maml(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(slowed, "thread_time", clock)
    monkeypatch.setattr(slowed.Maml, "estimate", timed)
    [task] = problem.tasks(1, 0)
    found = estimator.meta_gradient(problem, task, problem.theta())
    assert ticks == pytest.approx(101 + 100 * slowdown, abs=1)
    plain = ESTIMATORS.create("maml", steps=cell.steps, lr=0.01)
    exact = plain.meta_gradient(problem, task, problem.theta())
    assert all(torch.equal(found.grad[name], exact.grad[name]) for name in exact.grad)
