import math

from harness.cell import Measurement
from harness.report.pareto import FAINT, NO_ERROR, Candidate, candidates, optimal, pareto_chart, pareto_table
from harness.report.settings import Setting, settings
from harness.report.style import styles
from tests.report.synthetic import measurement, run


def cell(
    label: str, steps: int, seconds: float, peak: float, error: float | None = None, foreign: float = 0.0
) -> Measurement:
    metrics = {"wall_seconds": [seconds], "peak_bytes": [peak], "foreign_share": [foreign]}
    if error is not None:
        metrics["backprop_relative_error"] = [error]
    return measurement(label, steps, metrics=metrics, estimator=label)


def only(cells: list[Measurement]) -> Setting:
    (setting,) = settings([run(cells)])
    return setting


def candidate(seconds: float, peak: float, error: float | None = None, steps: int = 1) -> Candidate:
    return Candidate("x", "x", steps, seconds, peak, error)


def test_one_beats_another_that_is_better_in_nothing() -> None:
    assert candidate(1, 1, 0.1).beats(candidate(2, 1, 0.1))
    assert candidate(1, 1, 0.1).beats(candidate(1, 1, 0.2))
    assert not candidate(1, 2).beats(candidate(2, 1))
    assert not candidate(1, 1).beats(candidate(1, 1))
    assert not candidate(1, 1, 0.2).beats(candidate(2, 2, 0.1))


def test_times_within_two_percent_are_equal() -> None:
    assert not candidate(1.0, 1).beats(candidate(1.015, 1))
    assert candidate(1.015, 1).beats(candidate(1.0, 2))
    assert not candidate(1.03, 1).beats(candidate(1.0, 2))


def test_only_cells_of_the_same_steps_are_compared() -> None:
    better_but_shorter, lone = candidate(1, 1, steps=1), candidate(9, 9, steps=2)
    assert optimal([better_but_shorter, lone]) == [better_but_shorter, lone]


def test_candidates_without_the_error_that_others_have_are_in_doubt() -> None:
    found = candidates(only([cell("a", 2, 1, 1, 0.5), cell("b", 1, 2, 2), cell("b", 2, 1, 3, 0.0)]))
    told = [(each.label, each.steps, each.error, each.doubt) for each in found]
    assert told == [("b", 1, None, NO_ERROR), ("a", 2, 0.5, None), ("b", 2, 0.0, None)]


def test_an_error_that_was_not_measured_is_neither_zero_nor_infinite() -> None:
    exact, unknown = candidate(2, 2, 0.0), candidate(1, 1)
    assert not unknown.beats(exact)
    assert not exact.beats(candidate(3, 3))
    assert candidate(1, 1).beats(candidate(2, 2))


def test_the_best_are_joined_and_the_beaten_faint() -> None:
    setting = only([cell("a", 1, 1, 2e6, 0.1), cell("b", 1, 2, 1e6, 0.1), cell("c", 1, 3, 3e6, 0.1)])
    found = pareto_chart(setting, styles([setting]))
    assert found is not None
    assert (
        found.note
        == "A point is a cell, faint where another at its K beats it. Dotted lines join those that none beats."
    )
    line, *marks = found.traces
    assert (line["x"], line["y"]) == ([1, 2], [2, 1])
    assert [each["marker"]["opacity"] for each in marks] == [[1.0], [1.0], [FAINT]]
    assert marks[2]["hovertext"] == [
        "c, K = 1<br>3 s, 3 MB<br>error against backprop 0.10<br>beaten at its K<br>status ok"
    ]
    assert [each.traces for each in found.series] == [[1], [2], [3]]


def test_the_table_is_of_the_largest_steps_that_two_share_and_says_who_beats_whom() -> None:
    found = pareto_table(only([cell("a", 4, 1, 1e6, 0.1), cell("b", 4, 2, 2e6, 0.2), cell("b", 8, 2, 2e6, 0.2)]))
    assert found is not None
    assert found.headers == ["at K = 4", "wall time", "peak memory", "error against backprop", "of these"]
    assert [row.texts for row in found.rows] == [
        ["a", "1 s", "1 MB", "0.10", "Pareto-optimal"],
        ["b", "2 s", "2 MB", "0.20", "beaten by a"],
    ]


def of_these(*cells: Measurement) -> list[str]:
    found = pareto_table(only(list(cells)))
    assert found is not None
    return [row.texts[-1] for row in found.rows]


def test_times_that_others_disturbed_are_marked_and_not_compared() -> None:
    setting = only([cell("a", 1, 1, 2e6), cell("b", 1, 2, 3e6, foreign=0.8), cell("c", 1, 2, 4e6)])
    table, chart = pareto_table(setting), pareto_chart(setting, styles([setting]))
    assert table is not None
    assert chart is not None
    assert [row.texts[1] for row in table.rows] == ["1 s", "2 s (timed on a busy machine)", "2 s"]
    assert [row.texts[-1] for row in table.rows] == [
        "none costs less",
        "not compared: timed on a busy machine",
        "costs more than a",
    ]
    assert [trace["hovertext"][0] for trace in chart.traces] == [
        "a, K = 1<br>1 s, 2 MB<br>none at its K costs less<br>status ok",
        "b, K = 1<br>2 s (timed on a busy machine), 3 MB<br>not compared: timed on a busy machine<br>status ok",
        "c, K = 1<br>2 s, 4 MB<br>another at its K costs less<br>status ok",
    ]
    assert [trace["marker"]["opacity"] for trace in chart.traces] == [[1.0], [1.0], [FAINT]]
    assert chart.note.endswith("Some cells are compared with none: timed on a busy machine.")
    quiet = only([cell("a", 1, 1, 2e6), cell("b", 1, 2, 1e6)])
    undisturbed = pareto_chart(quiet, styles([quiet]))
    assert undisturbed is not None
    assert "busy" not in undisturbed.note


def test_nobody_wins_against_the_disturbed_alone() -> None:
    busy = "not compared: timed on a busy machine"
    assert of_these(cell("a", 1, 1, 1e6), cell("b", 1, 2, 2e6, foreign=0.8)) == ["none to compare with", busy]
    assert of_these(cell("a", 1, 1, 1e6, foreign=0.8), cell("b", 1, 2, 2e6, foreign=0.8)) == [busy, busy]


def test_without_errors_nobody_is_beaten_and_what_is_compared_is_said() -> None:
    """An exact gradient that costs more than a first-order one is no worse for it: its error may be a tenth."""
    setting = only([cell("MAML", 4, 4, 4e6), cell("FOMAML", 4, 1, 1e6), cell("iMAML", 4, 0.5, 2e6)])
    table, chart = pareto_table(setting), pareto_chart(setting, styles([setting]))
    assert table is not None
    assert chart is not None
    assert table.headers[-2:] == ["error", "in time and memory alone"]
    assert [row.texts[-2:] for row in table.rows] == [
        ["not measured", "costs more than FOMAML and iMAML"],
        ["not measured", "none costs less"],
        ["not measured", "none costs less"],
    ]
    assert chart.note.endswith("No error was measured: time and memory alone are compared.")
    said = chart.note + "".join("".join(trace.get("hovertext", [])) for trace in chart.traces)
    assert "beat" not in said
    assert "Pareto" not in said


def test_a_method_whose_error_nobody_measured_is_shown_and_not_compared() -> None:
    reptile = cell("Reptile", 4, 0.1, 0.1e6)
    assert of_these(cell("MAML", 4, 4, 4e6, 0.0), cell("iMAML", 4, 1, 1e6, 0.1), reptile) == [
        "Pareto-optimal",
        "Pareto-optimal",
        "not compared: no error was measured",
    ]


def test_an_error_that_is_not_a_number_was_not_measured() -> None:
    assert of_these(cell("a", 1, 1, 1e6, 0.1), cell("b", 1, 2, 2e6, 0.1), cell("c", 1, 0.5, 5e5, math.nan)) == [
        "Pareto-optimal",
        "beaten by a",
        "not compared: no error was measured",
    ]


def test_one_estimator_alone_has_no_rival() -> None:
    setting = only([cell("a", 1, 1, 1), cell("a", 2, 1, 1)])
    assert pareto_chart(setting, styles([setting])) is None
    assert pareto_table(setting) is None


def test_an_error_that_was_not_measured_is_said_to_be() -> None:
    found = pareto_table(only([cell("a", 4, 1, 1e6), cell("b", 4, 2, 2e6)]))
    assert found is not None
    assert [row.texts[3] for row in found.rows] == ["not measured", "not measured"]
