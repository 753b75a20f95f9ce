"""Which times are suspect, what would decide them, and the suite that measures them again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cell import Cell, Measurement, Status
from harness.compare import Comparison, compare_runs
from harness.compare.confirm import LOOKS, Decision, confirm, judge
from harness.compare.suspects import Suspects, confirmed, is_suspect, pairs
from harness.errors import BadInput
from harness.statistics import Verdict
from harness.store import LoadedRun
from harness.suite import load_suite
from harness.suite_schema import MOST_TABLES
from tests.report.synthetic import HOSTILE, measurement, run


def processes(label: str = "MAML", seconds: Sequence[float] = (1.0, 1.01, 0.99), **cell: Any) -> list[Measurement]:
    return [
        measurement(label, metrics={"wall_seconds": [each] * 3, "flops": [1e6]}, **cell).model_copy(
            update={"repeat": repeat}
        )
        for repeat, each in enumerate(seconds)
    ]


def grid(factor: float, spread: float, count: int = 8, repeats: int = 1) -> LoadedRun:
    """Cells whose processes are so far apart, evenly."""
    cells = [
        processes(steps=k, seconds=[factor * (1 + spread * ((k * (repeat + 2)) % 5 - 2)) for repeat in range(repeats)])
        for k in range(1, count + 1)
    ]
    return run([each for cell in cells for each in cell])


def unclear(comparison: Comparison) -> list[Any]:
    return [each for each in comparison.findings if each.verdict is Verdict.UNCLEAR]


def test_single_processes_say_how_many_would_tell() -> None:
    comparison = compare_runs(grid(1.0, 0.01), grid(1.0, 0.012))
    rows = unclear(comparison)
    assert len(rows) == 8
    [needed] = {each.needed for each in rows}
    assert needed in LOOKS
    assert {each.reason for each in rows} == {"1 against 1 processes do not tell"}
    assert {each.remedy for each in rows} == {f"{needed} a side in turn tell 10%: --confirm"}
    assert comparison.plan == (
        f"8 times are unclear: to tell a slowdown of 10% takes up to {needed} processes a side, in turn, which "
        "imaml-bench compare runs/today runs/today --confirm measures"
    )
    assert comparison.notes == [*comparison.notices, comparison.plan]


def test_a_smaller_slowdown_and_more_noise_take_more() -> None:
    base, head = grid(1.0, 0.01), grid(1.0, 0.012)
    [finer] = {each.needed for each in unclear(compare_runs(base, head, detect=0.05))}
    [usual] = {each.needed for each in unclear(compare_runs(base, head))}
    assert finer is not None
    assert usual is not None
    assert usual < finer
    assert "--confirm --detect 5% measures" in compare_runs(base, head, detect=0.05).plan
    noisy = unclear(compare_runs(grid(1.0, 0.2), grid(1.0, -0.3)))
    assert {each.needed for each in noisy} == {None}
    assert all(f"{LOOKS[-1]} a side in turn may not tell 10%" in each.remedy for each in noisy)


def test_too_few_single_processes_do_not_show_their_spread() -> None:
    comparison = compare_runs(run(processes(seconds=[1.0])), run(processes(seconds=[1.1])))
    [row] = unclear(comparison)
    assert (row.needed, row.remedy) == (None, "--confirm measures until 10% is told, or 40 a side are not enough")
    assert comparison.plan.startswith("1 time is unclear: to tell a slowdown of 10% takes up to 40 processes a side")


def test_disturbed_processes_have_a_remedy_too() -> None:
    def met(seconds: float) -> LoadedRun:
        cells = [each for k in range(1, 9) for each in processes(steps=k, seconds=[seconds * (1 + 0.01 * (k % 3))])]
        shares = {"foreign_share": [0.9]}
        return run([each.model_copy(update={"metrics": {**each.metrics, **shares}}) for each in cells])

    rows = unclear(compare_runs(met(1.0), met(1.02)))
    assert len(rows) == 8
    assert {each.reason for each in rows} == {"no process of one side had a processor to itself"}
    assert all("--confirm" in each.remedy for each in rows)


def test_what_is_decided_or_not_comparable_needs_no_remedy() -> None:
    same = compare_runs(run(processes()), run(processes()))
    assert same.plan == ""
    assert [each.remedy for each in same.findings if each.remedy] == []


def suspects() -> tuple[Comparison, Suspects]:
    """A time that is worse, one that is unclear, one that is gone, one that is the same, and a worse number."""
    base = run(
        [
            *processes("worse", steps=1),
            *processes("unclear {x}", steps=2, seconds=[1.0]),
            *processes("gone", steps=3),
            *processes("same", steps=4),
        ]
    )
    gone = [each.model_copy(update={"metrics": {"flops": [2e6]}}) for each in processes("gone", steps=3)]
    head = run(
        [
            *processes("worse", steps=1, seconds=[2.0, 2.02, 1.98]),
            *processes("unclear {x}", steps=2, seconds=[1.1]),
            *gone,
            *processes("same", steps=4),
        ]
    )
    comparison = compare_runs(base, head)
    return comparison, Suspects.of(comparison)


def test_suspects_are_times_that_may_differ() -> None:
    comparison, found = suspects()
    assert list(found.findings) == ["1. fig2b: worse, K = 1", "2. fig2b: unclear (x), K = 2"]
    verdicts = {each.cell.label: is_suspect(each) for each in comparison.findings if each.metric == "wall_seconds"}
    assert verdicts == {"worse": True, "unclear {x}": True, "gone": False, "same": False}
    assert not any(is_suspect(each) for each in comparison.findings if each.metric == "flops")


@pytest.mark.parametrize(
    "cell",
    [
        {},
        {"label": 199 * "{"},
        {"label": HOSTILE, "tasks": 3, "dtype": "float64", "seed": 7, "time_limit_seconds": 12.5, "min_samples": 5},
        {"label": '"""\\ {not a field} \x7f é λ', "problem": {"name": "conv4", "parameters": {"source": 'a"\\b'}}},
        {
            "estimator": {
                "name": "imaml-cg",
                "parameters": {"lam": [1.0, 2.5], "lr": "auto", "tol": 1e-05, "flag": True, "cg_steps": 5, "s": "{x}"},
            }
        },
        {"problem": {"name": "mlp", "parameters": {"sizes": [1, 40, 1]}}},
    ],
    ids=["plain", "long", "hostile label", "quotes", "lists", "list of the problem"],
)
def test_the_suite_measures_the_time_of_the_very_cell(cell: dict[str, Any], tmp_path: Path) -> None:
    given = Cell.model_validate({**processes()[0].cell.model_dump(), "steps": 3, **cell})
    both = [run([Measurement(key=given.key, cell=given, status=Status.OK, started_at="", metrics=m)]) for m in METRICS]
    found = Suspects.of(compare_runs(*both))
    file = tmp_path / "suspects.toml"
    file.write_text(found.suite(), encoding="utf-8")
    [measured] = load_suite(file).cells("cpu", 1)
    assert [measured.label] == list(found.findings)
    assert measured.measure == ("time",)
    same = {"problem", "estimator", "steps", "tasks", "dtype", "seed", "time_limit_seconds", "min_samples"}
    assert measured.model_dump(include=same) == given.model_dump(include=same)


METRICS = ({"wall_seconds": [1.0]}, {"wall_seconds": [1.2]})


def test_cells_of_one_name_keep_apart() -> None:
    base = run([*processes("A", seconds=[1.0], seed=1), *processes("A", seconds=[1.0], seed=2)])
    head = run([*processes("A", seconds=[1.2], seed=1), *processes("A", seconds=[1.2], seed=2)])
    found = Suspects.of(compare_runs(base, head))
    assert len(found.findings) == 2
    assert found.suite().count("[[study]]") == 2


def test_more_suspects_than_a_suite_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST_TABLES, "study", 1)
    with pytest.raises(BadInput, match=r"^--confirm: 2 times are suspect, more than a suite may hold; compare fewer"):
        suspects()


def test_parts_are_written_as_the_suite_gave_them() -> None:
    def side(seconds: float) -> LoadedRun:
        [cell] = processes(seconds=[seconds])
        part = cell.cell.estimator.completed({"lr": 0.1, "cg_steps": 5})
        return run([cell.model_copy(update={"cell": cell.cell.model_copy(update={"estimator": part})})])

    assert "cg_steps" not in Suspects.of(compare_runs(side(1.0), side(1.2))).suite()


def test_pairs_are_of_one_turn_and_of_processes_that_ended_ok() -> None:
    def side(*times: tuple[str, int, dict[str, list[float]]]) -> list[Measurement]:
        return [measurement(label, metrics=m).model_copy(update={"repeat": turn}) for label, turn, m in times]

    base = side(
        ("a", 0, {"wall_seconds": [9.0]}),
        ("a", 1, {"wall_seconds": [2.0, 3.0], "warmup_seconds": [1.5, 4.0]}),
        ("b", 1, {"wall_seconds": [2.0]}),
        ("c", 1, {}),
        ("d", 1, {"wall_seconds": [2.0], "cuda_seconds": [0.5, 0.7]}),
    )
    head = side(
        ("a", 1, {"wall_seconds": [5.0, 6.0]}),
        ("c", 1, {"wall_seconds": [2.0]}),
        ("d", 1, {"wall_seconds": [1.0], "cuda_seconds": [0.6]}),
        ("e", 1, {"wall_seconds": [2.0]}),
    )
    assert pairs(base, head, 1) == {"a": (1.5, 5.0), "d": (0.5, 0.6)}
    assert pairs(base, head, 0) == pairs(base, head, 2) == {}


def test_the_verdict_is_that_of_the_new_processes() -> None:
    comparison, found = suspects()
    decisions = confirm(list(found.findings), lambda cells, turn: dict.fromkeys(cells, (0.5, 0.5)))
    after = confirmed(comparison, found, decisions, Path("out/confirm"))
    times = {each.cell.label: each for each in after.findings if each.metric == "wall_seconds"}
    assert times["worse"].verdict is times["unclear {x}"].verdict is Verdict.SAME
    assert (times["worse"].base, times["worse"].head, times["worse"].ratio) == (0.5, 0.5, 1.0)
    assert times["worse"].reason == "6 processes a side in turn tell: out/confirm"
    assert times["gone"].verdict is Verdict.WORSE
    assert after.plan == ""
    assert after.notices[-1] == (
        "2 times measured again, base and head in turn, in up to 6 new processes a side: out/confirm"
    )
    assert [each for each in after.findings if each.metric != "wall_seconds"] == [
        each for each in comparison.findings if each.metric != "wall_seconds"
    ]


def test_what_stays_unclear_says_so() -> None:
    comparison, found = suspects()
    spread = ((1.0, 2.0), (2.0, 1.0)) * 20
    first, second = found.findings
    decisions = {first: Decision(judge(spread), spread), second: Decision(judge(()), ())}
    after = confirmed(comparison, found, decisions, Path("out"))
    rows = {each.cell.label: each for each in after.findings if each.metric == "wall_seconds"}
    assert (rows["worse"].verdict, rows["unclear {x}"].verdict) == (Verdict.UNCLEAR, Verdict.UNCLEAR)
    assert rows["worse"].reason == "40 processes a side in turn do not tell: out"
    assert rows["unclear {x}"].reason == "no process ended ok on both sides: out"
    order = [each.verdict for each in after.findings]
    assert order == sorted(order, key=[Verdict.WORSE, Verdict.UNCLEAR, Verdict.BETTER, Verdict.SAME].index)


def test_a_worse_time_that_is_confirmed_fails() -> None:
    comparison, found = suspects()
    only = replace(comparison, findings=[each for each in comparison.findings if is_suspect(each)])
    slower = confirm(list(found.findings), lambda cells, turn: dict.fromkeys(cells, (1.0, 1.5)))
    same = confirm(list(found.findings), lambda cells, turn: dict.fromkeys(cells, (1.0, 1.0)))
    assert only.failed
    assert confirmed(only, found, slower, Path()).failed
    assert not confirmed(only, found, same, Path()).failed
