import pytest

from harness.cell import Measurement
from harness.exports.names import named
from tests.exports.hostile import LABELS
from tests.report.synthetic import measurement, run


def full_names(*cells: Measurement) -> list[str]:
    return [each.full_name for each in named([run(cells)])]


def test_a_name_says_what_the_cell_is() -> None:
    [found] = named([run([measurement("iMAML", 8, tasks=2, seed=3)])])
    assert found.name == "fig2b: iMAML, K = 8"
    assert found.setting == "linear (dim=50), 2 tasks, float32, cpu, 1 thread, seed 3"


def test_cells_of_one_label_are_told_apart_by_their_estimators_and_the_others_keep_their_names() -> None:
    cells = [measurement(parameters={"lr": lr}) for lr in (0.1, 0.2)]
    names = [each.name for each in named([run([*cells, measurement("FOMAML")])])]
    assert names == ["fig2b: MAML, K = 1, maml (lr=0.1)", "fig2b: MAML, K = 1, maml (lr=0.2)", "fig2b: FOMAML, K = 1"]


def test_runs_of_one_suite_are_told_apart_by_their_folders() -> None:
    names = [each.name for each in named([run([measurement()], path=path) for path in ("runs/base", "runs/head")])]
    assert names == ["fig2b: MAML, K = 1, run base", "fig2b: MAML, K = 1, run head"]
    names = [each.name for each in named([run([measurement()], path=path) for path in ("a/run", "b/run")])]
    assert ["a/run" in names[0], "b/run" in names[1]] == [True, True]


def test_cells_that_differ_in_nothing_readable_are_told_apart() -> None:
    assert len(set(full_names(measurement(), measurement(min_samples=7)))) == 2


def test_names_do_not_depend_on_the_numbers() -> None:
    before = measurement(metrics={"wall_seconds": [1.0]})
    assert full_names(before) == full_names(measurement(metrics={"peak_bytes": [2.0]}))


@pytest.mark.parametrize("label", LABELS)
def test_a_name_is_one_printable_line(label: str) -> None:
    [name] = full_names(measurement(label))
    assert name.isprintable()


def test_no_runs_have_no_names() -> None:
    assert named([run([])]) == []
