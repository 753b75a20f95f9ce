import pytest

from harness.cell import Cell, Measurement, Part, Status
from harness.limits import MemoryLimit, Skip


def cell(steps: int, estimator: str = "maml") -> Cell:
    return Cell(problem=Part(name="linear"), estimator=Part(name=estimator), label=estimator, steps=steps)


def ended(steps: int, status: Status) -> Measurement:
    return Measurement(key=cell(steps).key, cell=cell(steps), status=status, started_at="now")


def test_a_cell_over_the_free_memory_is_refused_with_both_numbers() -> None:
    limit = MemoryLimit(Skip.FORECAST, {cell(8).key: 96_100_000_000, cell(4).key: 79_200_000_000}, 79_200_000_000)
    assert limit.refusal(cell(8)) == "forecast 96.1 GB of 79.2 GB"
    assert limit.refusal(cell(4)) is None


def test_nothing_is_refused_where_nothing_is_known() -> None:
    assert MemoryLimit(Skip.FORECAST, {}, 1).refusal(cell(8)) is None
    assert MemoryLimit(Skip.FORECAST, {cell(8).key: 10}, None).refusal(cell(8)) is None


def test_after_one_ran_out_of_memory_larger_ones_of_its_kind_are_refused() -> None:
    limit = MemoryLimit(Skip.FORECAST, {}, None)
    limit.learn(ended(4, Status.OOM))
    assert limit.refusal(cell(8)) == "ran out of memory at K = 4 already"
    assert limit.refusal(cell(4)) is None
    assert limit.refusal(cell(2)) is None
    assert limit.refusal(cell(8, "fomaml")) is None


@pytest.mark.parametrize(
    ("skip", "over", "after"), [("forecast", True, True), ("oom", False, True), ("never", False, False)]
)
def test_what_is_refused_is_a_choice(skip: str, over: bool, after: bool) -> None:
    limit = MemoryLimit(Skip(skip), {cell(8).key: 2}, 1)
    assert (limit.refusal(cell(8)) is not None) is over
    limit.learn(ended(4, Status.OOM))
    assert (limit.refusal(cell(8)) is not None) is after


def test_that_is_remembered_from_earlier_runs_until_it_works() -> None:
    limit = MemoryLimit(Skip.FORECAST, {}, None, [ended(2, Status.OK), ended(4, Status.OOM), ended(8, Status.OOM)])
    assert limit.refusal(cell(8)) == "ran out of memory at K = 4 already"
    limit.learn(ended(4, Status.OK))
    assert limit.refusal(cell(8)) is None
    assert limit.refusal(cell(16)) == "ran out of memory at K = 8 already"
    limit.learn(ended(32, Status.OK))
    assert limit.refusal(cell(16)) is None
