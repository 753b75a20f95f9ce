from collections.abc import Callable

from harness.cell import Measurement, Status
from harness.report.settings import Setting, settings
from harness.report.verdict import SETTINGS, verdict, verdicts
from tests.report.synthetic import curve, measurement, memory, run

Numbers = Callable[[int], dict[str, list[float]]]


def costs(base: float, slope: float, seconds: float, error: float | None = None) -> Numbers:
    def at(k: int) -> dict[str, list[float]]:
        off = {} if error is None else {"backprop_relative_error": [error]}
        return {"peak_bytes": [base + slope * k], "wall_seconds": [seconds * k], **off}

    return at


def only(cells: list[Measurement]) -> Setting:
    (setting,) = settings([run(cells)])
    return setting


def against(implicit: Numbers, maml: Numbers | None = None) -> list[str]:
    steps = (1, 2, 4, 8, 16)
    base = curve("MAML", "maml", steps, maml or costs(50e6, 25e6, 0.1))
    return verdict(only([*base, *curve("iMAML", "imaml-cg", steps, implicit)]))


def test_growth_cost_and_error_are_compared_at_the_largest_steps() -> None:
    growth, last, advice = against(costs(81e6, 0, 0.095, error=0.06))
    assert growth == "Peak memory of iMAML is flat at 81 MB (K = 1 to 16); that of MAML grows by 25 MB a step."
    assert last == (
        "At K = 16, iMAML needs 18 % of the memory of MAML and 95 % of its time; its gradient is off by 0.060, "
        "relative to exact backprop."
    )
    assert advice == (
        "iMAML is the smaller from K = 2 on, and about as fast (median over K): choose it where its error is "
        "acceptable."
    )


def test_slower_means_only_where_memory_binds() -> None:
    *_, last, advice = against(costs(10e6, 0, 0.3))
    assert "3.0 times its time" in last
    assert advice == (
        "iMAML is the smaller at every K measured, but slower (3.0 times the time, median over K): choose it "
        "where memory binds."
    )


def test_an_error_that_is_not_known_is_said_to_be() -> None:
    assert against(costs(10e6, 0, 0.01))[-1] == (
        "iMAML is the smaller at every K measured, and faster (median over K): choose it where its error, which was "
        "not measured here, is acceptable."
    )


def on_conv4(implicit: Numbers, maml: Numbers | None = None, *failed: int) -> list[str]:
    """The verdict of a problem whose spectrum is not known."""
    steps, problem = (1, 2, 4), {"name": "conv4"}
    base = [each for each in steps if each not in failed]
    return verdict(
        only(
            [
                *curve("MAML", "maml", base, maml or costs(50e6, 25e6, 0.1), problem=problem),
                *(measurement(steps=k, status=Status.OOM, reason="none", problem=problem) for k in failed),
                *curve("iMAML", "imaml-cg", steps, implicit, problem=problem),
            ]
        )
    )


UNCHECKED = "whether the implicit gradient is valid here (H + λI positive definite) was not measured"


def test_a_premise_that_was_not_checked_is_said_once() -> None:
    assert on_conv4(costs(10e6, 0, 0.01))[-1] == (
        "iMAML is the smaller at every K measured, and faster (median over K): choose it where its error, which was "
        f"not measured here, is acceptable; {UNCHECKED} either."
    )
    assert on_conv4(costs(10e6, 0, 0.01, error=0.1))[-1].endswith(f"its error is acceptable; {UNCHECKED}.")
    assert on_conv4(costs(10e6, 0, 0.3))[-1].endswith(f"choose it where memory binds; {UNCHECKED}.")
    assert on_conv4(memory(0, 10e6))[-1] == f"iMAML is the smaller at every K measured; {UNCHECKED}."
    assert on_conv4(costs(10e6, 0, 0.3), None, 4)[-1] == (f"Where MAML failed, at K = 4, iMAML did not; {UNCHECKED}.")


def test_nothing_is_said_of_the_premise_where_it_was_checked_or_does_not_matter() -> None:
    def checked(k: int) -> dict[str, list[float]]:
        return costs(10e6, 0, 0.01)(k) | {"smallest_curvature": [0.5]}

    assert "valid" not in " ".join(on_conv4(checked))
    assert on_conv4(costs(50e6, 25e6, 0.1))[-1].endswith("here MAML is the choice.")


def disturbed(numbers: Numbers, *steps: int) -> Numbers:
    """The same with others on the processor at some K, where there are times."""
    return lambda k: numbers(k) | ({"foreign_share": [0.8]} if k in steps else {})


def test_times_that_others_disturbed_are_qualified() -> None:
    quick, slow = costs(10e6, 0, 0.01, error=0.1), costs(10e6, 0, 0.3)
    _, last, advice = against(disturbed(quick, 16))
    assert "10 % of its time (timed on a busy machine); its gradient" in last
    assert "and faster (median over K, timed on a busy machine): choose" in advice
    *_, last, advice = against(slow, disturbed(costs(50e6, 25e6, 0.1), 1))
    assert "3.0 times its time." in last
    assert "(3.0 times the time, median over K, timed on a busy machine): choose" in advice
    assert "busy" not in " ".join(against(quick))


def test_without_a_pair_disturbed_times_are_left_out() -> None:
    def timed(k: int) -> dict[str, list[float]]:
        return {"peak_bytes": [1e6 * k], "wall_seconds": [0.1 * k]}

    assert len(verdict(only(curve("MAML", "maml", (1, 2, 4), timed)))) == 2
    assert verdict(only(curve("MAML", "maml", (1, 2, 4), disturbed(timed, 2)))) == [
        "Peak memory from K = 1 to 4: MAML grows by 1 MB a step."
    ]


def test_where_nothing_is_saved_maml_is_the_choice() -> None:
    assert against(costs(50e6, 24e6, 0.1))[-1] == (
        "iMAML saves no memory worth the name up to K = 16: here MAML is the choice."
    )


def test_where_no_memory_is_saved_but_time_maml_is_not_the_choice() -> None:
    quick, none = costs(50e6, 24e6, 0.01, error=0.1), "iMAML saves no memory worth the name up to K = 16"
    assert against(quick)[-1] == f"{none}, but is faster (median over K): choose it where its error is acceptable."
    assert against(costs(50e6, 24e6, 0.01))[-1] == (
        f"{none}, but is faster (median over K): choose it where its error, which was not measured here, is acceptable."
    )


def test_of_times_that_were_not_measured_or_disturbed_no_choice_is_made_where_no_memory_is_saved() -> None:
    none = "iMAML saves no memory worth the name up to K = 16."
    assert against(memory(24e6, 50e6))[-1] == none
    assert against(disturbed(costs(50e6, 24e6, 0.1), 4))[-1] == none
    assert against(disturbed(costs(50e6, 24e6, 0.01), 4))[-1] == none


def test_where_maml_failed_is_the_advice() -> None:
    cells = [
        *curve("MAML", "maml", (1, 2), memory(1e6, 1e6)),
        measurement("MAML", 4, status=Status.OOM, reason="no memory left"),
        *curve("iMAML", "imaml-cg", (1, 2, 4), memory(0, 1e6)),
    ]
    assert verdict(only(cells))[-1] == "Where MAML failed, at K = 4, iMAML did not."


def test_of_several_implicit_methods_the_smallest_then_the_most_accurate_is_compared() -> None:
    cells = [
        *curve("MAML", "maml", (1, 4), costs(1e6, 1e6, 1)),
        *curve("5 CG", "imaml-cg", (1, 4), costs(1e6, 0, 1, error=0.1), parameters={"cg_steps": 5}),
        *curve("10 CG", "imaml-cg", (1, 4), costs(1.001e6, 0, 2, error=0.01), parameters={"cg_steps": 10}),
        *curve("dense", "imaml-dense", (1, 4), costs(9e6, 0, 1, error=0.0)),
    ]
    assert verdict(only(cells))[0].startswith("Peak memory of 10 CG is flat")


def chosen(*rivals: tuple[str, Numbers]) -> str:
    """Which implicit method MAML is held against; memory is equal."""
    cells = curve("MAML", "maml", (1, 4), costs(1e6, 1e6, 1))
    for count, (label, numbers) in enumerate(rivals):
        cells += curve(label, "imaml-cg", (1, 4), numbers, parameters={"cg_steps": count + 1})
    return verdict(only(cells))[0].removeprefix("Peak memory of ").split(" is ")[0]


def test_no_method_is_chosen_for_what_another_was_not_measured_in() -> None:
    timed, accurate = costs(1e6, 0, 1), costs(1e6, 0, 2, error=0.5)
    assert chosen(("no error", timed), ("an error", accurate)) == "no error"
    assert chosen(("an error", accurate), ("a smaller one", costs(1e6, 0, 3, error=0.1))) == "a smaller one"
    untimed = memory(0, 1e6)
    assert chosen(("timed", timed), ("untimed", untimed)) == chosen(("timed", untimed), ("untimed", timed)) == "timed"
    assert chosen(("busy", disturbed(costs(1e6, 0, 0.1), 4)), ("quiet", timed)) == "busy"


def test_errors_against_different_references_do_not_choose() -> None:
    def against_implicit(k: int) -> dict[str, list[float]]:
        return costs(1e6, 0, 1)(k) | {"implicit_relative_error": [1e-9]}

    rivals = ("unrolled", costs(1e6, 0, 1, error=0.5)), ("implicit", against_implicit)
    assert chosen(*rivals) == "unrolled"
    assert chosen(*reversed(rivals)) == "implicit"


def test_without_a_pair_the_verdict_is_what_was_found() -> None:
    assert verdict(only(curve("MAML", "maml", (1, 2, 4), memory(1e6, 1e6)))) == [
        "Peak memory from K = 1 to 4: MAML grows by 1 MB a step."
    ]
    errors = curve("MAML", "maml", (1, 2), lambda k: {"implicit_relative_error": [0.1]})
    assert verdict(only(errors)) == ["Relative error against the exact implicit gradient at K = 2: MAML 0.10."]
    assert verdict(only([measurement()])) == []


def test_settings_with_a_pair_come_first_and_not_all_are_told() -> None:
    lone = [
        cell
        for dim in range(SETTINGS + 1)
        for cell in curve("MAML", "maml", (1, 2, 4), memory(1e6, 1e6), problem={"name": f"p{dim}", "parameters": {}})
    ]
    pair = [
        *curve("MAML", "maml", (1, 2), memory(1e6, 1e6), tasks=9),
        *curve("iMAML", "imaml-cg", (1, 2), memory(0, 1e6), tasks=9),
    ]
    told = verdicts(settings([run([*lone, *pair])]))
    assert len(told) == SETTINGS
    assert told[0][0].facts["tasks"] == "9 tasks"
