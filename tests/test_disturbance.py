"""Whether other processes took a cell's processor."""

import pytest

from harness.cell import Measurement, Status
from harness.disturbance import of_timed_cells, taken_by_others
from tests.report.synthetic import measurement, run


def timed(threads: int = 1, **shares: list[float]) -> Measurement:
    return measurement(metrics={"wall_seconds": [1.0], **shares}, threads=threads)


@pytest.mark.parametrize(
    ("foreign", "steal", "threads", "cores", "taken"),
    [
        (0.5, 0.0, 1, 2, []),  # a core was left
        (0.6, 0.0, 1, 2, [0.6]),
        (0.25, 0.5, 1, 2, [0.75]),
        (0.6, 0.0, 1, 4, []),
        (0.04, 0.0, 2, 2, []),
        (0.1, 0.0, 2, 2, [0.1]),
        (0.0, 0.0, 4, 2, []),  # its own threads are no others
        (0.1, 0.0, 4, 2, [0.1]),
    ],
)
def test_a_process_is_disturbed_where_others_left_no_core(
    foreign: float, steal: float, threads: int, cores: int, taken: list[float]
) -> None:
    assert taken_by_others(timed(threads, foreign_share=[foreign], steal_share=[steal]), cores) == taken


def test_every_process_of_a_cell_is_looked_at() -> None:
    cell = timed(foreign_share=[0.0, 0.75, 0.25], steal_share=[0.0, 0.0, 0.5])
    assert taken_by_others(cell, 2) == [0.75, 0.75]


def test_processes_are_merged_before() -> None:
    quiet, met = timed(foreign_share=[0.0], steal_share=[0.0]), timed(foreign_share=[0.25], steal_share=[0.5])
    again = met.model_copy(update={"repeat": 1})
    assert of_timed_cells(run([quiet, again])) == [[0.75]]


def test_a_run_that_does_not_tell_is_not_judged() -> None:
    assert taken_by_others(timed(), 1) == []


def test_only_cells_with_times_count() -> None:
    untimed = measurement("a", 2, metrics={"foreign_share": [0.9]})
    failed = measurement("b", 3, status=Status.OOM, metrics={"wall_seconds": [1.0], "foreign_share": [0.9]})
    assert of_timed_cells(run([timed(), untimed, failed])) == [[]]
