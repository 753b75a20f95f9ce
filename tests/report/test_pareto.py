from harness.cell import Measurement
from harness.report.pareto import FAINT, Candidate, candidates, optimal, pareto_chart, pareto_table
from harness.report.settings import Setting, settings
from harness.report.style import styles
from tests.report.synthetic import measurement, run


def cell(label: str, steps: int, seconds: float, peak: float, error: float | None = None) -> Measurement:
    metrics = {"wall_seconds": [seconds], "peak_bytes": [peak]}
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


def test_candidates_have_time_memory_and_the_error_that_others_have() -> None:
    found = candidates(only([cell("a", 2, 1, 1, 0.5), cell("b", 1, 2, 2), cell("b", 2, 1, 3, 0.0)]))
    assert [(each.label, each.steps, each.error) for each in found] == [("a", 2, 0.5), ("b", 2, 0.0)]


def test_the_best_are_joined_and_the_beaten_faint() -> None:
    setting = only([cell("a", 1, 1, 2e6), cell("b", 1, 2, 1e6), cell("c", 1, 3, 3e6)])
    found = pareto_chart(setting, styles([setting]))
    assert found is not None
    line, *marks = found.traces
    assert (line["x"], line["y"]) == ([1, 2], [2, 1])
    assert [each["marker"]["opacity"] for each in marks] == [[1.0], [1.0], [FAINT]]
    assert marks[2]["hovertext"] == ["c, K = 1<br>3 s, 3 MB<br>beaten at its K<br>status ok"]
    assert [each.traces for each in found.series] == [[1], [2], [3]]


def test_the_table_is_of_the_largest_steps_that_two_share_and_says_who_beats_whom() -> None:
    found = pareto_table(only([cell("a", 4, 1, 1e6, 0.1), cell("b", 4, 2, 2e6, 0.2), cell("b", 8, 2, 2e6, 0.2)]))
    assert found is not None
    assert found.headers == ["at K = 4", "wall time", "peak memory", "error against backprop", "of these"]
    assert [row.texts for row in found.rows] == [
        ["a", "1 s", "1 MB", "0.10", "Pareto-optimal"],
        ["b", "2 s", "2 MB", "0.20", "beaten by a"],
    ]


def test_times_that_others_disturbed_are_marked() -> None:
    met = measurement("b", 1, metrics={"wall_seconds": [2], "peak_bytes": [1e6], "foreign_share": [0.8]}, estimator="b")
    setting = only([cell("a", 1, 1, 2e6), met])
    table, chart = pareto_table(setting), pareto_chart(setting, styles([setting]))
    assert table is not None
    assert chart is not None
    assert [row.texts[1] for row in table.rows] == ["1 s", "2 s (timed on a busy machine)"]
    assert chart.traces[2]["hovertext"][0].startswith("b, K = 1<br>2 s (timed on a busy machine), 1 MB<br>")
    assert chart.note.endswith("Some cells were timed on a busy machine: who is faster is in doubt there.")
    quiet = only([cell("a", 1, 1, 2e6), cell("b", 1, 2, 1e6)])
    undisturbed = pareto_chart(quiet, styles([quiet]))
    assert undisturbed is not None
    assert "busy" not in undisturbed.note


def test_one_estimator_alone_has_no_rival() -> None:
    setting = only([cell("a", 1, 1, 1), cell("a", 2, 1, 1)])
    assert pareto_chart(setting, styles([setting])) is None
    assert pareto_table(setting) is None


def test_an_error_that_was_not_measured_is_said_to_be() -> None:
    found = pareto_table(only([cell("a", 4, 1, 1e6), cell("b", 4, 2, 2e6)]))
    assert found is not None
    assert [row.texts[3] for row in found.rows] == ["not measured", "not measured"]
