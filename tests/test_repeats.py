import math

from harness.cell import Cell, Measurement, Part, Status
from harness.repeats import merged

CELL = Cell(problem=Part(name="linear"), estimator=Part(name="maml"), label="MAML", steps=1)


def process(repeat: int, status: Status = Status.OK, reason: str | None = None, **metrics: list[float]) -> Measurement:
    return Measurement(
        key=CELL.key, cell=CELL, status=status, reason=reason, started_at="now", repeat=repeat, metrics=metrics
    )


def test_one_process_is_what_it_was() -> None:
    only = process(0, wall_seconds=[1.0])
    assert merged([only]) is only


def test_times_are_strung_together_and_medians_kept_apart() -> None:
    whole = merged([process(0, wall_seconds=[1.0, 3.0, 2.0]), process(1, wall_seconds=[5.0, 4.0, 6.0])])
    assert whole.metrics["wall_seconds"] == [1.0, 3.0, 2.0, 5.0, 4.0, 6.0]
    assert whole.metrics["process_seconds"] == [2.0, 5.0]


def test_what_should_not_differ_is_kept_once() -> None:
    whole = merged([process(0, flops=[7.0], query_loss=[math.nan]), process(1, flops=[7.0], query_loss=[math.nan])])
    assert whole.metrics["flops"] == [7.0]
    assert len(whole.metrics["query_loss"]) == 1
    assert whole.notes == {}


def test_what_should_not_differ_and_does_is_told() -> None:
    whole = merged([process(0, flops=[7.0]), process(1, flops=[8.0])])
    assert whole.metrics["flops"] == [7.0, 8.0]
    assert whole.notes == {"flops": "differs between processes"}


def test_a_failure_of_one_process_is_the_cells() -> None:
    whole = merged([process(0, wall_seconds=[1.0]), process(1, Status.CRASH, "a reason")])
    assert (whole.status, whole.reason) == (Status.CRASH, "a reason")
    assert whole.metrics["wall_seconds"] == [1.0]
