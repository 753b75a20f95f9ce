"""Claims held against runs with known numbers."""

import math
from pathlib import Path
from typing import Any

import pytest

from harness.cell import Cell, Measurement, Status, Study
from harness.expectation import Bounds, Expectation
from harness.expectations import Outcome, Verdict, as_json, counted, margin_text, passed, verdicts, verdicts_markdown
from harness.store import load_run
from harness.suite import load_suite
from tests.report.synthetic import HOSTILE, curve, measurement, memory, run

REPORT = Path(__file__).parents[1] / "reports" / "intel-xeon-processor-2-threads"
KS = (1, 2, 4, 8, 16)


def costs() -> list[Measurement]:
    """MAML's memory is 100 + 10 K, iMAML's 200; their work is K² and 3."""
    return [
        *curve("MAML", "maml", KS, lambda k: memory(10, 100)(k) | {"flops": [float(k * k)], "wall_seconds": [0.5 * k]}),
        *curve("iMAML", "imaml-cg", KS, lambda k: {"peak_bytes": [200.0], "flops": [3.0], "wall_seconds": [2.0]}),
    ]


def verdict(measurements: list[Measurement], **expectation: Any) -> Verdict:
    [found] = verdicts(run(measurements), [Expectation(claim="It is so", **expectation)])
    return found


def told(found: Verdict) -> tuple[str, str, str]:
    return (str(found.outcome), found.measured, found.where)


# Numbers


def test_the_worst_cell_decides() -> None:
    found = verdict(costs(), estimators=("maml",), metric="peak_bytes", value=Bounds(max=270))
    assert told(found) == ("pass", "260 B", "MAML, K = 16")
    assert found.bound == "at most 270 B"
    assert found.value == 260
    assert found.margin == pytest.approx(10 / 270)
    found = verdict(costs(), metric="peak_bytes", value=Bounds(min=110, max=259))
    assert told(found) == ("fail", "260 B", "MAML, K = 16")
    assert found.margin == pytest.approx(-1 / 259)


def test_a_bound_itself_is_within() -> None:
    found = verdict(costs(), estimators=("imaml-cg",), metric="flops", value=Bounds(min=3, max=3))
    assert (found.outcome, found.margin, found.bound) == (Outcome.PASS, None, "exactly 3 FLOP")
    found = verdict(costs(), estimators=("imaml-cg",), metric="flops", value=Bounds(min=4, max=4))
    assert (found.outcome, found.margin) == (Outcome.FAIL, -0.25)
    found = verdict(costs(), estimators=("imaml-cg",), metric="flops", value=Bounds(max=3))
    assert (found.outcome, found.margin) == (Outcome.PASS, 0.0)


@pytest.mark.parametrize(("value", "margin"), [(0.0, 0.0), (-2.0, 1.0), (2.0, -1.0)])
def test_of_a_bound_of_0_the_margin_is_relative_to_the_number(value: float, margin: float) -> None:
    cell = measurement(metrics={"negative_curvature": [value]}, measure=["accuracy"])
    assert verdict([cell], metric="negative_curvature", value=Bounds(max=0)).margin == margin


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_fails(value: float) -> None:
    cell = measurement(metrics={"flops": [value]})
    found = verdict([cell], metric="flops", value=Bounds(min=0, max=1))
    assert (found.outcome, found.measured) == (Outcome.FAIL, f"{value} FLOP")
    assert as_json(found)["margin"] is None
    assert as_json(found)["value"] is None
    assert verdict([cell], metric="flops", value=Bounds(min=-10)).outcome == Outcome.FAIL


def test_a_cell_counts_with_its_median() -> None:
    cell = measurement(metrics={"flops": [1.0, 2.0, 90.0]})
    assert verdict([cell], metric="flops", value=Bounds(max=2)).outcome == Outcome.PASS


def test_labels_names_and_axes_choose_the_cells() -> None:
    for name in ("maml", "MAML"):
        found = verdict(costs(), estimators=(name,), metric="flops", at={"steps": (2, 4)}, value=Bounds(max=20))
        assert told(found) == ("pass", "16 FLOP", "MAML, K = 4")
    cells = [
        measurement("iMAML", estimator="imaml-cg", parameters={"cg_steps": n}, metrics={"flops": [n]}) for n in (2, 5)
    ]
    found = verdict(cells, metric="flops", at={"cg_steps": (2,)}, value=Bounds(max=2))
    assert found.outcome == Outcome.PASS
    found = verdict(cells, metric="flops", at={"cg_steps": (2, 5)}, value=Bounds(max=2))
    assert told(found) == ("fail", "5 FLOP", "iMAML, K = 1, cg_steps = 5")


def test_a_claim_may_be_about_one_study() -> None:
    cells = [
        measurement(
            "first",
            steps=k,
            metrics={"flops": [float(k)]},
            studies=(Study(title=title, x="dim", label=f"MAML {title}"),),
        )
        for k, title in ((1, "one"), (9, "two"))
    ]
    found = verdict(cells, study="one", estimators=("maml",), metric="flops", value=Bounds(max=1))
    assert told(found) == ("pass", "1 FLOP", "MAML one, K = 1, dim = 50")
    assert verdict(cells, study="two", metric="flops", value=Bounds(max=1)).outcome == Outcome.FAIL


def test_cells_are_told_apart_by_what_differs_among_them() -> None:
    def cells(dim: int, slope: float, **cell: Any) -> list[Measurement]:
        problem = {"name": "linear", "parameters": {"dim": dim, "n": 5}}
        return curve("MAML", "maml", KS, memory(slope, 100), problem=problem, **cell)

    both = [*cells(10, 10), *cells(1000, 20)]
    assert told(verdict(both, metric="peak_bytes", law="flat"))[2] == "MAML, K = 1 to 16, dim = 1000"
    assert told(verdict(both, metric="peak_bytes", value=Bounds(max=1)))[2] == "MAML, K = 16, dim = 1000"
    assert told(verdict(both, status=("oom",)))[2] == "MAML, K = 1, dim = 10"
    assert told(verdict(both, metric="peak_bytes", value=Bounds(max=1), at={"dim": (10,)}))[2] == "MAML, K = 16"
    wide = [*cells(10, 10), *cells(10, 20, dtype="float64", tasks=2)]
    assert told(verdict(wide, metric="peak_bytes", law="flat"))[2] == "MAML, K = 1 to 16, tasks = 2, dtype = float64"
    other = {"name": "sinusoid", "parameters": {"width": 4}}
    problems = [*cells(10, 10), *curve("MAML", "maml", KS, memory(20, 100), problem=other)]
    assert told(verdict(problems, metric="peak_bytes", law="flat"))[2] == "MAML, K = 1 to 16, sinusoid"


# Ratios


def test_a_ratio_is_taken_at_the_same_point() -> None:
    ratio: dict[str, Any] = {"estimators": ("imaml-cg",), "metric": "wall_seconds", "ratio_to": "maml"}
    found = verdict(costs(), **ratio, value=Bounds(max=2), at={"steps": (2, 16)})
    assert told(found) == ("pass", "2 × that of maml", "iMAML, K = 2")
    assert found.bound == "at most 2 × that of maml"
    assert verdict(costs(), **ratio, value=Bounds(max=2)).value == 4


def test_no_cell_of_another_setting_is_a_reference() -> None:
    there = [measurement("iMAML", estimator="imaml-cg", metrics={"flops": [3.0]})]
    ratio: dict[str, Any] = {"estimators": ("imaml-cg",), "metric": "flops", "ratio_to": "maml"}
    others: list[dict[str, Any]] = [{"steps": 2}, {"dtype": "float64"}, {"tasks": 2}, {"seed": 1}, {"threads": 2}]
    for other in others:
        cells = [*there, measurement("MAML", metrics={"flops": [3.0]}, **other)]
        found = verdict(cells, **ratio, value=Bounds(max=1))
        assert told(found) == ("not tested", "no maml at iMAML, K = 1", "")
    assert verdict([*there, measurement(metrics={"flops": [3.0]})], **ratio, value=Bounds(max=1)).value == 1
    assert verdict([*there, measurement(metrics={"flops": [0.0]})], **ratio, value=Bounds(max=1)).value == math.inf


def test_references_are_looked_for_among_cells_of_the_same_setting_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is linear in the number of cells."""
    asked = 0
    is_reference = Expectation.is_reference

    def counted(self: Expectation, cell: Cell, of: Cell) -> bool:
        nonlocal asked
        asked += 1
        return is_reference(self, cell, of)

    monkeypatch.setattr(Expectation, "is_reference", counted)
    names = ("maml", "imaml-cg")
    flops = {"flops": [1.0]}
    cells = [measurement(each, estimator=each, seed=seed, metrics=flops) for seed in range(200) for each in names]
    found = verdict(cells, estimators=("imaml-cg",), metric="flops", ratio_to="maml", value=Bounds(max=1))
    assert (found.outcome, asked) == (Outcome.PASS, 400)


def test_two_zeros_are_alike() -> None:
    cells = [measurement(label, estimator=label, metrics={"flops": [0.0]}) for label in ("maml", "fomaml")]
    assert (
        verdict(cells, estimators=("fomaml",), metric="flops", ratio_to="maml", value=Bounds(min=1, max=1)).value == 1
    )


def test_a_failed_reference_fails_the_claim() -> None:
    cells = [
        measurement("iMAML", estimator="imaml-cg", metrics={"flops": [3.0]}),
        measurement("MAML", status=Status.OOM, reason="no room", metrics={"flops": [3.0]}),
    ]
    found = verdict(cells, estimators=("imaml-cg",), metric="flops", ratio_to="maml", value=Bounds(max=1))
    assert told(found) == ("fail", "oom: no room", "MAML, K = 1")


# Growth


def test_laws() -> None:
    found = verdict(costs(), estimators=("imaml-cg",), metric="peak_bytes", law="flat")
    assert told(found) == ("pass", "is flat at 200 B", "iMAML, K = 1 to 16")
    assert found.margin is None
    found = verdict(costs(), estimators=("maml",), metric="peak_bytes", law="linear")
    assert told(found) == ("pass", "grows by 10 B a step", "MAML, K = 1 to 16")
    assert found.margin == pytest.approx(1.0)
    found = verdict(costs(), metric="peak_bytes", law="flat")
    assert told(found) == ("fail", "grows by 10 B a step", "MAML, K = 1 to 16")
    assert found.margin == pytest.approx((0.01 - 150 / 260) / 0.01)
    assert verdict(costs(), estimators=("maml",), metric="flops", law="superlinear").outcome == Outcome.PASS
    assert verdict(costs(), estimators=("maml",), metric="flops", law="linear").outcome == Outcome.FAIL


def test_the_margin_of_a_flat_law_is_what_is_left_of_its_tolerance() -> None:
    cells = curve("MAML", "maml", KS, lambda k: {"peak_bytes": [1000.0 - 4 * (k == 2)]})
    assert verdict(cells, metric="peak_bytes", law="flat").margin == pytest.approx(0.6)


def test_slopes_and_exponents() -> None:
    slope: dict[str, Any] = {"estimators": ("maml",), "metric": "peak_bytes"}
    found = verdict(costs(), **slope, slope=Bounds(min=10, max=10))
    assert told(found) == ("pass", "10 B a step", "MAML, K = 1 to 16")
    assert (found.bound, found.margin) == ("slope exactly 10 B a step", None)
    found = verdict(costs(), **slope, slope=Bounds(min=8, max=9))
    assert (found.outcome, found.value) == (Outcome.FAIL, 10)
    assert found.margin == pytest.approx(-1 / 9)
    found = verdict(costs(), estimators=("maml",), metric="flops", exponent=Bounds(min=1.9, max=2.1))
    assert found.outcome == Outcome.PASS
    assert found.value == pytest.approx(2)
    found = verdict(costs(), metric="peak_bytes", estimators=("imaml-cg",), exponent=Bounds(max=0.1))
    assert (found.outcome, found.value) == (Outcome.PASS, 0)


@pytest.mark.parametrize(
    ("demand", "ks", "why"),
    [
        ({"law": "flat"}, (1, 2, 3), "needs a largest K of 4 times the smallest, there is K = 1 to 3"),
        ({"law": "flat"}, (2,), "needs 2 different K, there is K = 2"),
        ({"law": "linear"}, (1, 2), "needs 3 different K, there is K = 1 to 2"),
        ({"law": "superlinear"}, (1, 2, 4), "needs 4 different K, there is K = 1 to 4"),
        ({"slope": Bounds(max=10)}, (2,), "needs 2 different K, there is K = 2"),
        ({"exponent": Bounds(max=2)}, (1, 2, 4), "needs 4 different K, there is K = 1 to 4"),
    ],
)
def test_too_few_steps_are_not_tested(demand: dict[str, Any], ks: tuple[int, ...], why: str) -> None:
    cells = curve("MAML", "maml", ks, memory(10, 100))
    found = verdict(cells, metric="peak_bytes", **demand)
    assert (found.outcome, found.measured) == (Outcome.UNTESTED, why)


def test_every_demand_of_a_claim_has_a_verdict() -> None:
    claim = Expectation(
        claim="Linear",
        estimators=("maml",),
        metric="peak_bytes",
        law="linear",
        slope=Bounds(max=9),
        value=Bounds(min=1),
    )
    found = verdicts(run(costs()), [claim])
    assert [(str(each.outcome), each.bound) for each in found] == [
        ("pass", "at least 1 B"),
        ("pass", "linear"),
        ("fail", "slope at most 9 B a step"),
    ]


# What is not there


@pytest.mark.parametrize("status", [Status.OOM, Status.CRASH, Status.DIVERGED, Status.TIMEOUT, Status.SKIPPED])
@pytest.mark.parametrize("demand", [{"law": "linear"}, {"value": Bounds(max=1e9)}, {"slope": Bounds(max=1e9)}])
def test_a_failed_cell_fails_claims_about_its_numbers(status: Status, demand: dict[str, Any]) -> None:
    cells = [*costs(), measurement("MAML", 32, status=status, reason="why", metrics={"peak_bytes": [420.0]})]
    found = verdict(cells, estimators=("maml",), metric="peak_bytes", **demand)
    assert told(found) == ("fail", f"{status}: why", "MAML, K = 32")
    assert verdict(cells, estimators=("maml",), metric="peak_bytes", at={"steps": KS}, **demand).outcome == Outcome.PASS


def test_a_failure_may_be_what_is_claimed() -> None:
    cells = [measurement("MAML", 64, status=Status.OOM, reason="no room"), measurement("MAML", 1)]
    found = verdict(cells, at={"steps": (64,)}, status=("oom", "skipped"))
    assert told(found) == ("pass", "oom: no room", "MAML, K = 64")
    found = verdict(cells, status=("ok",))
    assert told(found) == ("fail", "oom: no room", "MAML, K = 64")


@pytest.mark.parametrize("demand", [{"law": "linear"}, {"value": Bounds(max=1e9)}, {"slope": Bounds(max=1e9)}])
def test_a_claim_about_numbers_may_allow_for_cells_without(demand: dict[str, Any]) -> None:
    about: dict[str, Any] = {"estimators": ("maml",), "metric": "peak_bytes", "status": ("ok", "oom"), **demand}
    lost = measurement("MAML", 32, status=Status.OOM, reason="no room")
    crashed = measurement("MAML", 64, status=Status.CRASH, reason="why")
    assert verdict([*costs(), lost], **about).outcome == Outcome.PASS
    assert told(verdict([*costs(), lost, crashed], **about)) == ("fail", "crash: why", "MAML, K = 64")
    assert verdict([lost], **about).outcome == Outcome.UNTESTED


def test_what_was_not_measured_is_not_tested() -> None:
    for demand in ({"value": Bounds(max=1)}, {"law": "flat"}):
        found = verdict(costs(), metric="flops", at={"steps": (64,)}, **demand)
        assert told(found) == ("not tested", "no cell of it was measured", "")
    assert verdict(costs(), estimators=("fomaml",), status=("ok",)).outcome == Outcome.UNTESTED


def test_cells_whose_passes_do_not_give_the_metric_do_not_count() -> None:
    cells = [*costs(), measurement("MAML", 64, measure=["accuracy"], status=Status.CRASH)]
    assert verdict(cells, metric="peak_bytes", value=Bounds(max=300)).outcome == Outcome.PASS


def test_a_number_that_is_missing_from_a_good_cell_is_not_tested() -> None:
    cells = costs()
    cells[0] = cells[0].model_copy(update={"metrics": {}, "notes": {"peak_bytes": "the meter is broken"}})
    found = verdict(cells, metric="peak_bytes", value=Bounds(max=300))
    assert told(found) == ("not tested", "the meter is broken", "MAML, K = 1")
    found = verdict(cells, metric="peak_bytes", law="flat", estimators=("maml",))
    assert found.outcome == Outcome.FAIL


# Together


def test_a_run_brings_its_expectations() -> None:
    claims = [Expectation(claim="Flat", metric="flops", law="flat", estimators=("imaml-cg",))]
    [found] = verdicts(run(costs(), expectations=claims))
    assert (found.claim, found.outcome) == ("Flat", Outcome.PASS)
    assert verdicts(run(costs())) == []


def test_only_failures_fail_unless_strict() -> None:
    good, bad, untested = (Verdict("", "", outcome, "") for outcome in Outcome)
    assert (passed([good, untested]), passed([good, untested], strict=True)) == (True, False)
    assert (passed([good]), passed([good], strict=True)) == (True, True)
    assert not passed([good, bad])
    assert counted([good, bad, untested]) == "1 of 3 claims hold, 1 fails, 1 was not tested"
    assert counted([good, bad, bad, untested, untested]) == "1 of 5 claims hold, 2 fail, 2 were not tested"


def test_markdown_is_a_row_a_verdict_whatever_the_words() -> None:
    found = [Verdict(HOSTILE, HOSTILE, Outcome.FAIL, HOSTILE, HOSTILE, 1.0, -0.254)]
    count, _, *table = verdicts_markdown(found).splitlines()
    assert count == "0 of 1 claim holds, 1 fails."
    assert len(table) == 3
    assert table[2].startswith("| fail | ")
    assert table[2].endswith(" | -25 % |")
    assert table[2].replace("\\|", "").count("|") == 7
    assert "<script>" not in table[2]
    assert "$" not in table[2]
    assert verdicts_markdown([]) == ""


@pytest.mark.parametrize(
    ("margin", "text"),
    [
        (None, ""),
        (math.inf, ""),
        (0.254, "25 %"),
        (10.0, "1,000 %"),
        (10.1, "> 1,000 %"),
        (-10.0, "-1,000 %"),
        (-1e9, "< -1,000 %"),
    ],
)
def test_margins_that_are_huge_are_not_told_in_full(margin: float | None, text: str) -> None:
    assert margin_text(margin) == text


@pytest.mark.parametrize("name", ["fig2a", "fig2b", "accuracy", "table1"])
def test_the_published_report_bears_out_what_the_suites_claim(name: str) -> None:
    found = verdicts(load_run(REPORT / name), load_suite(name).expectations)
    assert [each for each in found if each.outcome is not Outcome.PASS] == []
    assert len(found) >= 4
