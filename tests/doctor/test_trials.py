"""Checks of the comparison, on noise made up: seeded, and alike at every run."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from harness.doctor import trials
from harness.doctor.trials import (
    EFFECTS,
    MAX_PAIRS,
    MIN_PAIRS,
    POWER,
    STEPS,
    Pairs,
    Take,
    declared_equal,
    paired_work,
    told_apart,
)
from harness.statistics.paired import Comparison, Verdict, compare_paired


def noisy(noise: float, later: float | None = None) -> Take:
    """Pairs whose ratio has this noise; ``later`` from the second series on."""
    rng, taken = np.random.default_rng(0), 0

    def take(effect: float, pairs: int) -> Pairs:
        nonlocal taken
        deviation = noise if taken == 0 or later is None else later
        taken += 1
        both = 1e-3 * np.exp(rng.normal(0, 0.1, pairs))
        return list(both), list(both * (1 + effect) * np.exp(rng.normal(0, deviation, pairs)))

    return take


def always(verdict: Verdict) -> Callable[[Sequence[float], Sequence[float]], Comparison]:
    return lambda base, head: Comparison(1.0, 1.0, 1.0, verdict)


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.03])
def test_the_real_comparison_passes_a_hundred_trials(noise: float) -> None:
    told, equal = told_apart(100, noisy(noise)), declared_equal(100, noisy(noise))
    assert (told.verdict, equal.verdict) == ("pass", "pass")
    assert told.expected == equal.expected == "at least 95 of 100 trials"


def test_the_power_is_stated() -> None:
    finding = told_apart(20, noisy(0.03))
    assert finding.measured is not None
    assert finding.remark is not None
    assert finding.measured.startswith("20 of 20, ")
    pairs = int(finding.measured.removeprefix("20 of 20, ").split()[0])
    needed = int(finding.remark.split()[0])
    assert max(MIN_PAIRS, 2 * needed) < pairs <= MAX_PAIRS
    assert finding.remark.startswith(f"{needed} needed for power 0.95; noise of a pair 3.")
    take = noisy(0.03)
    told = sum(compare_paired(*take(0.05, needed)).verdict is Verdict.WORSE for _ in range(400))
    assert told / 400 >= POWER - 0.03


@pytest.mark.parametrize(
    ("verdict", "told", "equal"),
    [
        (Verdict.SAME, "fail", "pass"),
        (Verdict.WORSE, "pass", "fail"),
        (Verdict.BETTER, "fail", "fail"),
        (Verdict.UNCLEAR, "fail", "fail"),
    ],
)
def test_a_comparison_that_always_says_one_thing_fails(verdict: Verdict, told: str, equal: str) -> None:
    assert told_apart(20, noisy(0.01), always(verdict)).verdict == told
    assert declared_equal(20, noisy(0.01), always(verdict)).verdict == equal


def test_a_comparison_that_is_wrong_every_tenth_time_fails() -> None:
    def moody(right: Verdict, wrong: Verdict) -> Callable[[Sequence[float], Sequence[float]], Comparison]:
        said = iter([wrong, *[right] * 9] * 10)
        return lambda base, head: Comparison(1.0, 1.0, 1.0, next(said))

    assert told_apart(100, noisy(0.01), moody(Verdict.WORSE, Verdict.SAME)).verdict == "fail"
    assert declared_equal(100, noisy(0.01), moody(Verdict.SAME, Verdict.WORSE)).verdict == "fail"


def test_head_and_base_swapped_fail() -> None:
    assert told_apart(20, noisy(0.01), lambda base, head: compare_paired(head, base)).verdict == "fail"


def test_a_noisy_machine_says_what_it_can_tell() -> None:
    told = told_apart(20, noisy(0.3))
    assert told.verdict == "unavailable"
    assert told.remark is not None
    assert told.remark.startswith("too noisy: told apart from 20% on; ")
    assert told.measured is not None
    assert told.measured.startswith("20 of 20, ")
    equal = declared_equal(20, noisy(0.3))
    assert equal.verdict == "unavailable"
    hopeless = told_apart(20, noisy(9.0))
    assert (hopeless.verdict, hopeless.measured) == ("unavailable", None)
    assert hopeless.remark is not None
    assert hopeless.remark.startswith("too noisy even for 50%; noise of a pair ")


def test_noise_excuses_no_wrong_verdict() -> None:
    assert told_apart(20, noisy(0.3), always(Verdict.SAME)).verdict == "fail"
    assert declared_equal(20, noisy(0.3), always(Verdict.WORSE)).verdict == "fail"


def test_noise_that_rises_meanwhile_is_an_excuse() -> None:
    told, equal = told_apart(20, noisy(0.01, later=0.5)), declared_equal(20, noisy(0.01, later=0.5))
    assert (told.verdict, equal.verdict) == ("unavailable", "unavailable")
    assert told.remark is not None
    assert told.remark.startswith("too noisy for that many: ")


def test_noise_in_spells_is_seen() -> None:
    rng, series = np.random.default_rng(0), 0

    def take(effect: float, pairs: int) -> Pairs:
        """A series as a whole is 3 % off one way or the other; within it there is next to no noise."""
        nonlocal series
        series += 1
        spell = 1 + 0.03 * (-1) ** series
        return [1e-3] * pairs, list(1e-3 * spell * (1 + effect) * np.exp(rng.normal(0, 1e-4, pairs)))

    assert declared_equal(20, take, always(Verdict.UNCLEAR)).verdict == "unavailable"
    assert declared_equal(20, noisy(1e-4), always(Verdict.UNCLEAR)).verdict == "fail"


def test_the_planted_work_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    done = 0
    product = torch.mm

    def counted(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        nonlocal done
        done += 1
        return product(left, right)

    take = paired_work(torch.device("cpu"))
    monkeypatch.setattr(torch, "mm", counted)
    monkeypatch.setattr(trials, "perf_counter", lambda: float(done))
    for effect in (0.0, *EFFECTS):
        base, head = take(effect, 3)
        assert list(base) == [STEPS] * 3
        assert list(head) == pytest.approx([STEPS * (1 + effect)] * 3)
