"""Laws of memory in the inner steps, on records made up."""

import pytest

from harness.forecast.law import Law, Samples, Variables, choose, peak_of, spanned
from harness.forecast.live import Kernel, Record

A, B = Kernel("a", (), ()), Kernel("b", (), ())


def record(a: int, b: int | None = None) -> Record:
    before = {("inner", A): a} | ({("inner", B): b} if b is not None else {})
    return Record(before, {A: 0, B: 0})


def steps_alone(steps: int) -> Variables:
    return (steps,)


def test_a_line_needs_two_runs_and_one_to_check() -> None:
    assert choose(steps_alone) == Samples((3, 4), 5)


def test_memory_without_a_variable_needs_one() -> None:
    assert choose(lambda steps: ()) == Samples((3,), 4)


def test_runs_that_no_larger_one_depends_on_are_left_out() -> None:
    assert choose(lambda steps: (min(steps, 4), int(steps > 4))) == Samples((5,), 6)


def test_a_law_is_asked_only_about_what_its_runs_span() -> None:
    assert spanned([(2,), (3,)], (64,))
    assert spanned([(2, 0), (3, 0)], (9, 0))
    assert not spanned([(2, 0), (3, 0)], (9, 1))
    assert not spanned([], (2,))


def test_a_site_that_is_not_the_peak_at_first_may_become_it() -> None:
    """A holds 1000 at any K, B 100 K: they cross at K = 10."""
    law = Law.of({(2,): record(1000, 200), (3,): record(1000, 300)}, {A: 0, B: 0})
    assert law.peak_bytes((9,)) == 1000
    assert law.peak_bytes((64,)) == 6400


def test_what_grows_is_checked_where_something_larger_does_not() -> None:
    """B grows by 100 from K = 3 to 4 and by 60 then; A hides it at few steps."""
    law = Law.of({(3,): record(10_000, 200), (4,): record(10_000, 300)}, {A: 0, B: 0})
    assert law.holds((5,), record(10_000, 400))
    assert not law.holds((5,), record(10_000, 360))


def test_a_kernels_own_memory_comes_on_top_at_its_sites() -> None:
    law = Law.of({(2,): record(1000, 200), (3,): record(1000, 300)}, {A: 0, B: 5000})
    assert law.peak_bytes((4,)) == 5400
    assert peak_of(record(1000, 200), {A: 7, B: 900}) == 1100


def test_a_site_seen_in_some_runs_alone_holds_what_it_held_there() -> None:
    law = Law.of({(2,): record(1000), (3,): record(1000, 1300)}, {A: 0, B: 0})
    assert law.peak_bytes((64,)) == 1300


@pytest.mark.parametrize(("seen", "holds"), [(400, True), (401, False), (399, False), (420, False)])
def test_a_run_off_the_line_breaks_the_law(seen: int, holds: bool) -> None:
    law = Law.of({(2,): record(200), (3,): record(300)}, {A: 0, B: 0})
    assert law.holds((4,), record(seen)) is holds


def test_a_site_far_from_the_peak_may_be_off_the_line() -> None:
    law = Law.of({(2,): record(2000, 2), (3,): record(3000, 3)}, {A: 0, B: 0})
    assert law.holds((4,), record(4000, 77))


def test_a_new_site_near_the_peak_breaks_the_law() -> None:
    law = Law.of({(2,): record(2000), (3,): record(3000)}, {A: 0, B: 0})
    assert not law.holds((4,), record(4000, 3900))
