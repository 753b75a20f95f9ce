import math
from typing import Any

import pytest

from harness.cell import Measurement, Status
from harness.report.settings import Curve, settings
from tests.report.synthetic import curve, measurement, memory, run


def only(measurements: list[Curve] | tuple[Curve, ...]) -> Curve:
    (found,) = measurements
    return found


@pytest.mark.parametrize(
    "other",
    [
        {"problem": {"name": "linear", "parameters": {"dim": 60}}},
        {"tasks": 4},
        {"dtype": "float64"},
        {"device": "cuda:0"},
        {"threads": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_may_not_be_compared_is_kept_apart(other: dict[str, Any]) -> None:
    found = settings([run([measurement(steps=1), measurement(steps=2, **other), measurement(steps=4)])])
    assert [setting.values() for setting in found] == [[1, 4], [2]]
    assert found[0].title != found[1].title


def test_runs_are_kept_apart_and_named() -> None:
    first, second = settings([run([measurement()], path="runs/a"), run([measurement()], path="runs/b")])
    assert first.title == "run a, linear (dim=50), 1 task, float32, cpu (Some CPU), 1 thread"
    assert second.title.startswith("run b, ")


def test_estimators_are_curves_in_their_order() -> None:
    cells = [*curve("MAML", "maml", (1, 2), memory(1, 1)), *curve("CG", "imaml-cg", (1, 2), memory(0, 1))]
    (setting,) = settings([run([cells[0], cells[2], cells[1], cells[3]])])
    assert [(c.label, c.estimator) for c in setting.curves] == [("MAML", "maml"), ("CG", "imaml-cg")]
    assert setting.curves[0].medians("peak_bytes") == {1: 2.0, 2: 3.0}


def test_different_estimators_of_one_label_do_not_share_a_curve() -> None:
    cells = [measurement("A", parameters={"lr": lr}, metrics={"peak_bytes": [lr]}) for lr in (0.1, 0.2)]
    (setting,) = settings([run(cells)])
    assert [c.label for c in setting.curves] == ["A: maml (lr=0.1)", "A: maml (lr=0.2)"]


def test_seeds_are_pooled() -> None:
    cells = [measurement(seed=s, metrics={"peak_bytes": [float(s)]}) for s in range(5)]
    (setting,) = settings([run(cells)])
    point = only(setting.curves).points("peak_bytes")[1]
    assert (point.count, point.low, point.median, point.high) == (5, 1.0, 2.0, 3.0)


def test_points_leave_out_failed_cells_and_what_is_not_finite() -> None:
    cells = [
        measurement(steps=1, metrics={"peak_bytes": [1.0, math.nan, math.inf]}),
        measurement(steps=2, metrics={"peak_bytes": [2.0]}, status=Status.TIMEOUT),
        measurement(steps=4, metrics={"peak_bytes": [math.nan]}),
    ]
    (setting,) = settings([run(cells)])
    assert only(setting.curves).medians("peak_bytes") == {1: 1.0}


def test_failures_belong_to_the_metrics_they_were_to_measure() -> None:
    failed = measurement(steps=8, status=Status.OOM, measure=("memory", "accuracy"), references=("implicit",))
    (setting,) = settings([run([failed, measurement(steps=4, status=Status.CRASH), measurement(steps=2)])])
    found = only(setting.curves)
    assert found.failures() == {4: Status.CRASH, 8: Status.OOM}
    assert list(found.failures()) == [4, 8]
    assert found.failures("peak_bytes") == {4: Status.CRASH, 8: Status.OOM}
    assert found.failures("wall_seconds") == {4: Status.CRASH}
    assert found.failures("implicit_relative_error") == {8: Status.OOM}
    assert found.failures("backprop_relative_error") == {}
    assert [m.cell.steps for m in setting.failures] == [8, 4]


def member(*titles: str, x: str = "steps", label: str = "A", steps: int = 1, **cell: Any) -> Measurement:
    studies = [{"title": title, "x": x, "label": f"{label} in {title}"} for title in titles]
    return measurement(label, steps, studies=studies, **cell)


def test_a_cell_is_shown_in_all_of_its_studies_by_their_labels() -> None:
    found = settings([run([member("one"), member("one", "two", steps=2)])])
    assert [(s.study, s.values(), [c.label for c in s.curves]) for s in found] == [
        ("one", [1, 2], ["A in one"]),
        ("two", [2], ["A in two"]),
    ]
    assert found[0].title == "one: linear (dim=50), 1 task, float32, cpu (Some CPU), 1 thread"
    assert {m.cell.label for m in found[1].measurements} == {"A in two"}


def test_over_a_parameter_its_values_share_a_curve() -> None:
    cells = [
        member("s", x="cg_steps", steps=9, parameters={"cg_steps": cg}, metrics={"peak_bytes": [10.0 * cg]})
        for cg in (5, 2)
    ]
    (setting,) = settings([run(cells)])
    assert only(setting.curves).medians("peak_bytes") == {2: 20.0, 5: 50.0}
    assert setting.facts["K"] == "K = 9"


def test_over_a_parameter_of_the_problem_there_is_one_setting() -> None:
    problems = [{"name": "linear", "parameters": {"dim": 50, "kappa": kappa}} for kappa in (10, 100)]
    (setting,) = settings([run([member("s", x="kappa", problem=problem) for problem in problems])])
    assert setting.values() == [10, 100]
    assert setting.facts["problem"] == "linear (dim=50)"


def test_over_tasks_meta_batches_share_a_curve() -> None:
    cells = [member("s", x="tasks", tasks=n, steps=9, metrics={"peak_bytes": [10.0 * n]}) for n in (4, 1)]
    (setting,) = settings([run(cells)])
    assert only(setting.curves).medians("peak_bytes") == {1: 10.0, 4: 40.0}
    assert setting.title == "s: linear (dim=50), K = 9, float32, cpu (Some CPU), 1 thread"


def test_who_lacks_the_parameter_is_there_at_all_of_its_values() -> None:
    with_it = [member("s", x="cg_steps", parameters={"cg_steps": cg}) for cg in (2, 5)]
    without = member("s", x="cg_steps", label="B", metrics={"peak_bytes": [7.0]})
    (setting,) = settings([run([*with_it, without])])
    assert setting.curves[1].medians("peak_bytes") == {2: 7.0, 5: 7.0}


def test_over_a_parameter_numbers_of_steps_have_curves_of_their_own() -> None:
    cells = [member("s", x="cg_steps", steps=k, parameters={"cg_steps": cg}) for k in (4, 8) for cg in (2, 5)]
    (setting,) = settings([run(cells)])
    assert [c.label for c in setting.curves] == ["A in s, K = 4", "A in s, K = 8"]


def test_over_work_cells_without_counts_are_left_out() -> None:
    counted = member("s", x="evaluations", metrics={"gradient_count": [5.0], "hvp_count": [2.0], "peak_bytes": [1.0]})
    uncounted = member("s", x="evaluations", steps=2, metrics={"peak_bytes": [2.0]})
    (setting,) = settings([run([counted, uncounted])])
    assert only(setting.curves).medians("peak_bytes") == {9.0: 1.0}
