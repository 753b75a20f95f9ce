"""Two stored runs: what is matched, refused, told and judged."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from harness.cell import Measurement, Status
from harness.compare import Comparison, compare_runs
from harness.errors import BadInput
from harness.statistics import Verdict
from harness.store import LoadedRun
from tests.report.synthetic import MACHINE, measurement, run

Samples = dict[str, list[float]]
AMOUNTS: Samples = {"peak_bytes": [1e6], "flops": [2e6], "backprop_relative_error": [1e-16], "query_loss": [0.5]}


def processes(
    label: str = "MAML", steps: int = 1, seconds: Sequence[float] = (1.0, 1.01, 0.99), **metrics: Any
) -> list[Measurement]:
    """One cell in as many processes as it has times."""
    return [
        measurement(label, steps, metrics={**AMOUNTS, "wall_seconds": [each] * 3, **metrics}).model_copy(
            update={"repeat": repeat}
        )
        for repeat, each in enumerate(seconds)
    ]


def grid(factor: float = 1.0, /, **metrics: Any) -> LoadedRun:
    return run([each for k in (1, 2, 4) for each in processes(steps=k, seconds=[factor, 1.01 * factor], **metrics)])


def verdicts(comparison: Comparison, metric: str) -> list[Verdict]:
    return [each.verdict for each in comparison.findings if each.metric == metric]


def test_a_run_is_the_same_as_itself() -> None:
    comparison = compare_runs(grid(), grid())
    assert not comparison.failed
    assert comparison.notices == comparison.changes == []
    assert {each.verdict for each in comparison.findings} == {Verdict.SAME}
    metrics = {"status", "wall_seconds", "peak_bytes", "flops", "backprop_relative_error"}
    assert {each.metric for each in comparison.findings} == metrics
    assert comparison.summary == "0 WORSE, 0 UNCLEAR, 0 BETTER, 15 SAME of 15 numbers of 3 cells"


@pytest.mark.parametrize(
    ("metric", "planted"), [("flops", 2.2e6), ("peak_bytes", 1.05e6), ("backprop_relative_error", 1e-3)]
)
def test_what_is_planted_is_worse_in_every_cell_and_nothing_else_is(metric: str, planted: float) -> None:
    comparison = compare_runs(grid(), grid(**{metric: [planted]}))
    assert comparison.failed
    assert [each.metric for each in comparison.changes] == [metric] * 3
    assert verdicts(comparison, metric) == [Verdict.WORSE] * 3
    assert {each.head for each in comparison.changes} == {planted}
    back = compare_runs(grid(**{metric: [planted]}), grid())
    assert verdicts(back, metric) == [Verdict.BETTER] * 3
    assert not back.failed


def test_times_are_judged_with_their_interval() -> None:
    comparison = compare_runs(grid(), grid(1.5))
    assert verdicts(comparison, "wall_seconds") == [Verdict.WORSE] * 3
    first = comparison.findings[0]
    assert (first.ratio, first.base) == (pytest.approx(1.5), pytest.approx(1.005))
    assert first.low is not None
    assert first.high is not None
    assert 1.3 < first.low < 1.5 < first.high < 1.8
    assert "half of all times changed by +50% or more" in comparison.notices[0]
    assert compare_runs(grid(), grid(1.5), in_turn=True).notices == []


def test_a_query_loss_is_better_neither_way() -> None:
    assert compare_runs(grid(), grid(query_loss=[0.9])).changes == []


def test_a_cell_that_is_missing_is_worse_and_a_new_one_is_told() -> None:
    base, head = run(processes(steps=1) + processes(steps=2)), run(processes(steps=1) + processes(steps=4))
    comparison = compare_runs(base, head)
    [missing] = comparison.changes
    assert (missing.metric, missing.verdict, missing.reason) == ("status", Verdict.WORSE, "missing in head")
    assert missing.cell.steps == 2
    assert comparison.notices == ["1 of 2 cells are in runs/today only: nothing to compare them with"]


def test_a_cell_is_matched_by_its_content_not_by_the_key_of_its_day() -> None:
    old = [each.model_copy(update={"key": "of another schema"}) for each in processes()]
    assert compare_runs(run(old), run(processes())).changes == []


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (Status.OK, Status.OOM, Verdict.WORSE),
        (Status.OOM, Status.OK, Verdict.BETTER),
        (Status.OOM, Status.TIMEOUT, Verdict.SAME),
    ],
)
def test_failures(before: Status, now: Status, expected: Verdict) -> None:
    base, head = (run([measurement(status=status, reason="why", metrics=AMOUNTS)]) for status in (before, now))
    [finding] = compare_runs(base, head).findings
    assert (finding.metric, finding.verdict) == ("status", expected)
    assert finding.reason.startswith(f"{before} before, {now} now")
    assert ("why" in finding.reason) == (expected is Verdict.WORSE)


def test_one_failed_process_of_several_is_a_failure() -> None:
    failing = processes()
    failing[1] = failing[1].model_copy(update={"status": Status.CRASH})
    assert [each.metric for each in compare_runs(run(processes()), run(failing)).changes] == ["status"]


def test_a_number_that_is_gone_is_worse() -> None:
    gone = processes()
    gone = [each.model_copy(update={"metrics": {"flops": [2e6]}, "notes": {"peak_bytes": "no meter"}}) for each in gone]
    changes = compare_runs(run(processes()), run(gone)).changes
    assert {each.metric: each.reason for each in changes} == {
        "wall_seconds": "missing in head: no number",
        "peak_bytes": "missing in head: no meter",
        "backprop_relative_error": "missing in head: no number",
    }
    assert {each.verdict for each in changes} == {Verdict.WORSE}


@pytest.mark.parametrize(
    "other", [{"processor": "Another CPU"}, {"torch": "2.6.0"}, {"threads": 2}, {"memory_bytes": 4_000_000_000}]
)
def test_another_machine_is_refused_unless_forced(other: Mapping[str, Any]) -> None:
    head = run(grid(1.5, flops=[3e6]).processes, machine=MACHINE.model_copy(update=dict(other)))
    [(name, value)] = other.items()
    with pytest.raises(BadInput, match=rf"not of one machine \({name}: .* and {value}\); see --force$"):
        compare_runs(grid(), head)
    forced = compare_runs(grid(), head, force=True)
    assert verdicts(forced, "wall_seconds") == [Verdict.UNCLEAR] * 3
    assert verdicts(forced, "flops") == [Verdict.WORSE] * 3
    assert any(name in notice for notice in forced.notices)


def test_in_one_job_the_machine_is_one_however_two_codes_describe_it() -> None:
    head = run(grid().processes, machine=MACHINE.model_copy(update={"memory_bytes": 7_999_999_999}))
    assert compare_runs(grid(), head, in_turn=True).notices == []


def test_forced_cells_are_matched_whatever_their_threads_and_device() -> None:
    there = measurement(metrics={"flops": [1.0]}, device="cuda:0", threads=2)
    here = measurement(metrics={"flops": [1.0]}, device="cuda:1", threads=8)
    head = run([here], machine=MACHINE.model_copy(update={"threads": 8, "device": "cuda:1"}))
    assert compare_runs(run([there]), head, force=True).changes == []


def test_another_version_of_the_code_is_what_is_compared() -> None:
    head = run(grid().processes, machine=MACHINE.model_copy(update={"harness": "9.9.9"}))
    assert compare_runs(grid(), head).notices == []


def test_other_settings_and_another_suite_are_told() -> None:
    base = run(grid().processes, software={"blas": "mkl"}, settings={"governor": "performance"})
    suite = base.manifest.suite.model_copy(update={"digest": "cd" * 32})
    head = run(grid().processes, software={"blas": "openblas"}, settings={"governor": "powersave"}, suite=suite)
    assert compare_runs(base, head).notices == [
        "the runs differ in blas: mkl and openblas",
        "the runs differ in governor: performance and powersave",
        "the runs are of two versions of 'fig2b': cells that are not in both are missing or new",
    ]


def test_processes_without_a_core_to_themselves_are_left_out() -> None:
    met = processes(seconds=[2.0], foreign_share=[0.4], steal_share=[0.3])
    quiet = [each.model_copy(update={"repeat": 1 + each.repeat}) for each in processes(foreign_share=[0.1])]
    assert compare_runs(run(processes()), run(met + quiet)).changes == []
    [unclear] = compare_runs(run(processes()), run(met)).changes
    assert (unclear.verdict, unclear.metric) == (Verdict.UNCLEAR, "wall_seconds")
    assert unclear.reason == "no process of one side had a processor to itself"


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_time_is_not_judged(seconds: float) -> None:
    [unclear] = compare_runs(run(processes()), run(processes(seconds=[seconds] * 3))).changes
    assert (unclear.verdict, unclear.metric) == (Verdict.UNCLEAR, "wall_seconds")


def test_absurd_times_are_worse() -> None:
    head = run(processes(seconds=[1e300] * 3))
    assert verdicts(compare_runs(run(processes(seconds=[1e-300] * 3)), head), "wall_seconds") == [Verdict.WORSE]


def test_in_turn_only_pairs_count() -> None:
    base = processes(seconds=[1.0, 5.0, 1.0, 1.0])
    head = processes(seconds=[1.5, 1.5, 1.5, 1.5])
    base[1] = base[1].model_copy(update={"metrics": {**base[1].metrics, "foreign_share": [0.9]}})
    comparison = compare_runs(run(base), run(head), in_turn=True, metrics=["wall_seconds"])
    assert verdicts(comparison, "wall_seconds") == [Verdict.WORSE]
    assert comparison.findings[0].ratio == pytest.approx(1.5)


def test_on_a_cuda_device_its_own_clock_is_judged() -> None:
    def cells(seconds: float) -> LoadedRun:
        return run(processes(cuda_seconds=[seconds] * 3))

    comparison = compare_runs(cells(1.0), cells(3.0))
    assert verdicts(comparison, "cuda_seconds") == [Verdict.WORSE]
    assert verdicts(comparison, "wall_seconds") == []


def test_metrics_may_be_chosen() -> None:
    comparison = compare_runs(grid(), grid(2.0, flops=[4e6]), metrics=["peak_bytes"])
    assert {each.metric for each in comparison.findings} == {"status", "peak_bytes"}
    with pytest.raises(BadInput, match="unknown metric to judge 'peak_byte': did you mean 'peak_bytes'"):
        compare_runs(grid(), grid(), metrics=["peak_byte"])
    with pytest.raises(BadInput, match="unknown metric to judge 'query_loss'"):
        compare_runs(grid(), grid(), metrics=["query_loss"])


def test_the_worst_comes_first() -> None:
    base = run(processes(steps=1, flops=[1.0]) + processes(steps=2) + processes(steps=4))
    head = run(processes(steps=1, flops=[0.5]) + processes(steps=2, flops=[3e6]) + processes(steps=4, seconds=[1.0]))
    order = [each.verdict for each in compare_runs(base, head).findings]
    assert order == sorted(order, key=[Verdict.WORSE, Verdict.UNCLEAR, Verdict.BETTER, Verdict.SAME].index)
    assert {*order} == {Verdict.WORSE, Verdict.BETTER, Verdict.SAME}


def test_fifty_runs_of_the_same_code() -> None:
    """Times as measured on a shared machine: processes 4 % apart, one in fifty far off, the errors' last bits free."""
    rng = np.random.default_rng(5)

    def once() -> LoadedRun:
        def seconds(steps: int) -> list[float]:
            far = np.where(rng.random(3) < 0.02, 1.0 + rng.random(3), 1.0)
            return list(steps * far * np.exp(0.04 * rng.standard_normal(3)))

        bits = float(rng.integers(1, 9)) * 1e-17
        cells = [processes(steps=k, seconds=seconds(k), backprop_relative_error=[bits]) for k in range(1, 10)]
        return run([each for cell in cells for each in cell])

    found = [compare_runs(once(), once()) for _ in range(50)]
    worse = [[each.metric for each in of.findings if each.verdict is Verdict.WORSE] for of in found]
    assert not any(metric != "wall_seconds" for metrics in worse for metric in metrics)
    assert sum(map(bool, worse)) <= 2


def test_a_ratio_takes_a_base_that_is_not_zero() -> None:
    finding = compare_runs(grid(flops=[0.0]), grid(flops=[5.0])).findings[0]
    assert (finding.metric, finding.verdict, finding.ratio) == ("flops", Verdict.WORSE, None)
    assert math.isclose(finding.head or 0.0, 5.0)


def completed(of: Measurement, **defaults: Any) -> Measurement:
    """The measurement of the same cell as this version stores it: with its defaults."""
    part = of.cell.estimator.completed({**of.cell.estimator.parameters, **defaults})
    cell = of.cell.model_copy(update={"estimator": part})
    return of.model_copy(update={"cell": cell, "key": cell.key})


def test_a_run_that_does_not_tell_defaults_is_compared_by_what_the_suite_gave() -> None:
    older = run(processes(), schema_version=3)
    newer = run([completed(each, lam=0.0) for each in processes()])
    for base, head in ((older, newer), (newer, older)):
        comparison = compare_runs(base, head)
        assert {each.verdict for each in comparison.findings} == {Verdict.SAME}
        assert any("does not tell its cells' defaults" in notice for notice in comparison.notices)


def test_runs_of_two_defaults_are_not_compared_with_each_other() -> None:
    base, head = (run([completed(each, lam=lam) for each in processes()]) for lam in (0.0, 1.0))
    assert "1 of 1 cells are in" in compare_runs(base, head).notices[-1]
