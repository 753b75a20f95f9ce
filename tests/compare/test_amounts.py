"""What is the same at every run of one code: a change that is planted is found, the last bits are not."""

import math

import pytest

from harness.cell import METRICS, Cell, Part
from harness.compare.amounts import JUDGED, has_grown, judge
from harness.statistics import Verdict

CELL = Cell(problem=Part(name="linear"), estimator=Part(name="maml"), label="MAML", steps=1, dtype="float64")
LOSS = "backprop_relative_error"


def verdict(metric: str, base: list[float], head: list[float], cell: Cell = CELL) -> Verdict:
    return judge(metric, cell, [base], [head]).verdict


@pytest.mark.parametrize("metric", ["peak_bytes", "flops", "hvp_count", "gradient_count", "retained_bytes"])
def test_more_is_worse_and_less_is_better(metric: str) -> None:
    for share in (0.05, 0.10, 0.002):
        assert verdict(metric, [1e6], [1e6 * (1 + share)]) is Verdict.WORSE
        assert verdict(metric, [1e6 * (1 + share)], [1e6]) is Verdict.BETTER
    assert verdict(metric, [1e6], [1e6]) is Verdict.SAME
    assert verdict(metric, [1e6], [1e6 * 1.0005]) is Verdict.SAME


def test_anything_more_than_nothing_is_worse() -> None:
    assert verdict("retained_bytes", [0.0, 0.0], [0.0, 8.0]) is Verdict.WORSE
    assert verdict("negative_curvature", [0.0], [1.0]) is Verdict.WORSE


@pytest.mark.parametrize("base", [0.0, 1e-17, 1e-12, 1e-9, 1e-5, 0.01, 0.5, 4.0])
@pytest.mark.parametrize("metric", [LOSS, "implicit_relative_error", "linear_residual"])
def test_a_planted_error_is_worse_whatever_was_there(metric: str, base: float) -> None:
    assert verdict(metric, [base], [base + 1e-3]) is Verdict.WORSE
    assert verdict(metric, [base + 1e-3], [base]) is Verdict.BETTER


@pytest.mark.parametrize(
    ("base", "head"), [(0.0, 5e-11), (1e-17, 9e-17), (3e-16, 9e-13), (1e-8, 1.4e-8), (0.5, 0.5 + 1e-9), (4.0, 4.0002)]
)
def test_the_last_bits_do_not_matter(base: float, head: float) -> None:
    assert verdict(LOSS, [base], [head]) is Verdict.SAME
    assert verdict(LOSS, [head], [base]) is Verdict.SAME


@pytest.mark.parametrize(("dtype", "noise"), [("float32", 1e-6), ("bfloat16", 0.07)])
def test_a_rounding_error_may_be_what_the_dtype_makes_it(dtype: str, noise: float) -> None:
    cell = CELL.model_copy(update={"dtype": dtype})
    name = "rounding_relative_error"
    assert verdict(name, [0.0], [noise], cell) is Verdict.SAME
    assert verdict(name, [2 * noise], [3.9 * noise], cell) is Verdict.SAME
    assert verdict(name, [2 * noise], [8 * noise], cell) is Verdict.WORSE
    assert verdict(name, [1e-6], [1e-3 + 1e-6], CELL.model_copy(update={"dtype": "float32"})) is Verdict.WORSE


def test_a_cosine_is_better_the_nearer_to_one() -> None:
    assert verdict("backprop_cosine", [1.0], [0.999]) is Verdict.WORSE
    assert verdict("backprop_cosine", [0.9], [0.95]) is Verdict.BETTER
    assert verdict("backprop_cosine", [1.0], [1.0 - 1e-15]) is Verdict.SAME


def test_what_is_not_finite_is_worst() -> None:
    assert verdict(LOSS, [0.1], [math.inf]) is Verdict.WORSE
    assert verdict("backprop_cosine", [0.1], [math.nan]) is Verdict.WORSE
    assert verdict("backprop_cosine", [math.nan], [0.1]) is Verdict.BETTER
    assert verdict("backprop_cosine", [math.nan], [math.nan]) is Verdict.SAME


def test_the_worst_seed_decides_and_is_shown() -> None:
    judged = judge(LOSS, CELL, [[0.1, 0.2, 0.3]], [[0.05, 0.2, 0.4]])
    assert (judged.verdict, judged.base, judged.head) == (Verdict.WORSE, 0.3, 0.4)
    judged = judge(LOSS, CELL, [[0.1, 0.2]], [[0.05, 0.2]])
    assert (judged.verdict, judged.base, judged.head) == (Verdict.BETTER, 0.1, 0.05)


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        ([[100.0], [104.0]], [[101.0], [103.0]], Verdict.UNCLEAR),
        ([[100.0], [104.0]], [[105.0], [105.0]], Verdict.WORSE),
        ([[100.0], [104.0]], [[99.0], [98.0]], Verdict.BETTER),
        ([[100.0], [100.01]], [[100.0], [100.02]], Verdict.SAME),
        ([[100.0]], [[100.0, 100.0]], Verdict.SAME),
    ],
)
def test_processes_that_differ_have_to_be_beyond_each_other(
    base: list[list[float]], head: list[list[float]], expected: Verdict
) -> None:
    assert judge("peak_bytes", CELL, base, head).verdict is expected


def test_only_what_has_a_better_side_is_judged() -> None:
    assert {METRICS[name].deterministic for name in JUDGED} == {True}
    assert {"query_loss", "backprop_norm_ratio", "forecast_peak_bytes", "smallest_curvature"}.isdisjoint(JUDGED)
    assert {"peak_bytes", "flops", "hvp_count", LOSS, "rounding_relative_error"} <= set(JUDGED)


def test_growth_has_a_direction() -> None:
    assert has_grown("flops", CELL, 100.0, 110.0)
    assert not has_grown("flops", CELL, 110.0, 100.0)
