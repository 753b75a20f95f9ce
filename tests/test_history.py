"""Series over many runs, and their steps."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cell import Status
from harness.errors import BadInput
from harness.history import find_steps, histories, load_runs
from harness.store import LoadedRun, open_run
from tests.chance import at_least
from tests.report.synthetic import MACHINE, measurement, run

pytest.importorskip("ruptures")

CELL = measurement().cell


def runs(values: Sequence[float], metric: str = "peak_bytes", **cell: Any) -> list[LoadedRun]:
    """A run a day, each of one cell with one number."""
    return [
        run(
            [measurement(metrics={metric: [value]}, **cell)],
            path=f"runs/{day}",
            created_at=f"2026-01-{day:02}T00:00:00Z",
            git_revision=f"{day:040x}",
        )
        for day, value in enumerate(values, start=1)
    ]


def times(count: int, *, spread: float, outliers: float, slowdown: float = 0.0, at: int = 0, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    quiet = np.exp(spread * rng.standard_normal(count))
    met = np.where(rng.random(count) < outliers, 1 + rng.random(count), 1.0)
    return list(quiet * met * np.where(np.arange(count) >= at, 1 + slowdown, 1.0))


def places(metric: str, values: Sequence[float]) -> list[int]:
    return [each.index for each in find_steps(CELL, metric, values)]


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("peak_bytes", [100.0] * 9 + [105.0], [9]),
        ("peak_bytes", [100.0, 105.0], [1]),
        ("peak_bytes", [100.0] * 5 + [105.0] * 5 + [100.0] * 3, [5, 10]),
        ("peak_bytes", [100.0, 100.02] * 5, []),
        ("retained_bytes", [0.0, 0.0, 0.0, 8.0, 8.0], [3]),
        ("flops", [1e9] * 8 + [2e9] * 8, [8]),
        ("backprop_relative_error", [1e-16, 3e-16, 0.0, 9e-17, 2e-16, 1e-3, 1e-3], [5]),
        ("backprop_relative_error", [1e-16, 3e-16, 0.0, 9e-17, 2e-12], []),
        ("backprop_cosine", [1.0, 1.0, 1.0, 0.9, 0.9], [3]),
        ("query_loss", [-1.0, -1.0, -1.0, -2.0, -2.0], [3]),
        ("peak_bytes", [100.0], []),
        ("peak_bytes", [], []),
    ],
)
def test_steps_of_what_is_the_same_at_every_run(metric: str, values: list[float], expected: list[int]) -> None:
    assert places(metric, values) == expected


def test_a_step_says_from_what_to_what() -> None:
    [step] = find_steps(CELL, "peak_bytes", [100.0] * 3 + [150.0] * 2)
    assert (step.index, step.before, step.after) == (3, 100.0, 150.0)


@pytest.mark.parametrize(("spread", "outliers"), [(0.02, 0.0), (0.04, 0.05), (0.08, 0.05)])
def test_steady_times_have_no_steps(spread: float, outliers: float) -> None:
    series = [times(30, spread=spread, outliers=outliers, seed=seed) for seed in range(60)]
    assert sum(bool(places("wall_seconds", each)) for each in series) <= 3


@pytest.mark.parametrize(("spread", "at"), [(0.02, 15), (0.04, 15), (0.02, 26)])
def test_a_slowdown_is_found_where_it_is(spread: float, at: int) -> None:
    """With a power of at least 0.96: it is 0.97 of 600 series, in each of the three."""
    series = [times(30, spread=spread, outliers=0.03, slowdown=0.2, at=at, seed=seed) for seed in range(100)]
    found = [places("wall_seconds", each) for each in series]
    assert sum(len(each) == 1 and abs(each[0] - at) <= 1 for each in found) >= at_least(100, power=0.96)


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruptures", None)
    assert places("peak_bytes", [1.0, 1.0]) == []
    with pytest.raises(BadInput, match=r"pip install 'imaml-bench\[history\]'$"):
        places("peak_bytes", [1.0, 2.0])


def test_one_slow_run_is_no_step() -> None:
    steady = [1.0, 1.01, 0.99, 1.0, 1.02]
    assert places("wall_seconds", [*steady, 2.0]) == places("wall_seconds", [*steady, 2.0, *steady]) == []
    assert places("wall_seconds", [*steady, 2.0, 2.0, 2.01]) == [5]
    assert places("wall_seconds", [*steady, 1.07, 1.07, 1.08, 1.07]) == []  # it does not matter


def test_a_few_times_have_no_steps() -> None:
    assert places("wall_seconds", [1.0, 1.0, 1.0, 2.0, 2.0]) == []
    assert places("wall_seconds", [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]) == [3]


def test_the_rest_of_a_series_does_not_hide_a_step() -> None:
    values = [1.0, 1.01, 0.99, 1.0, 1.5, 1.51, 1.49, 1.5, 1.53, 1.58, 1.57, 1.58]
    assert places("wall_seconds", values) == [4]


def test_runs_are_put_in_the_order_they_were_made() -> None:
    [series] = histories(list(reversed(runs([1.0, 2.0, 3.0]))), ["peak_bytes"])
    assert [each.value for each in series.points] == [3.0, 2.0, 1.0]  # as given: load_runs sorts
    assert [each.index for each in series.steps] == [1, 2]


def test_a_series_is_of_one_cell_and_one_machine() -> None:
    other = MACHINE.model_copy(update={"processor": "Another CPU"})
    newer = MACHINE.model_copy(update={"torch": "2.14.0", "harness": "9.9.9"})
    base = runs([1.0, 1.0])[:1]
    elsewhere = [run(base[0].processes, machine=other)]
    later = [run(base[0].processes, machine=newer)]
    found = histories([*base, *elsewhere, *later, *runs([5.0], steps=2)])
    assert [(each.cell.steps, len(each.points)) for each in found] == [(1, 2), (1, 1), (2, 1)]


def test_failures_and_disturbed_times_have_no_point() -> None:
    failed = run([measurement(status=Status.OOM, metrics={"wall_seconds": [1.0]})])
    met = run([measurement(metrics={"wall_seconds": [2.0], "foreign_share": [0.9]})])
    [series] = histories([failed, met, *runs([3.0], "wall_seconds")], ["wall_seconds"])
    assert [each.value for each in series.points] == [3.0]


def test_metrics_are_chosen_by_name() -> None:
    held = runs([1.0], "query_loss")
    assert histories(held) == []
    assert len(histories(held, ["query_loss"])) == 1
    with pytest.raises(BadInput, match="unknown metric 'query_los': did you mean 'query_loss'"):
        histories(held, ["query_los"])


def store(path: Path, of: LoadedRun) -> None:
    with open_run(path, of.manifest) as opened:
        for each in of.processes:
            opened.append(each)


def test_runs_may_lie_deeper(tmp_path: Path) -> None:
    first, second, third, fourth = runs([1.0, 2.0, 3.0, 4.0])
    store(tmp_path / "runs" / "demo" / "a", first)
    store(tmp_path / "runs" / "demo" / "a" / "within a run", second)
    store(tmp_path / "runs" / "other" / "deep" / "b", third)
    store(tmp_path / "runs" / ".hidden" / "c", fourth)
    store(tmp_path / "too" / "deep" / "to" / "be" / "found" / "here", fourth)
    (tmp_path / "runs" / "other" / "again").symlink_to(tmp_path / "runs")
    assert [each.path.name for each in load_runs([tmp_path / "runs"])[0]] == ["a", "b"]
    with pytest.raises(BadInput, match="too: holds no run"):
        load_runs([tmp_path / "too"])


def test_a_link_may_be_a_run_but_leads_no_further(tmp_path: Path) -> None:
    first, second = runs([1.0, 2.0])
    store(tmp_path / "elsewhere" / "a", first)
    store(tmp_path / "elsewhere" / "more" / "b", second)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (tmp_path / "runs" / "latest").symlink_to(tmp_path / "elsewhere" / "a")
    assert [each.path.name for each in load_runs([tmp_path / "runs"])[0]] == ["latest"]


def test_folders_are_runs_or_hold_them(tmp_path: Path) -> None:
    first, second, third = runs([1.0, 2.0, 3.0])
    store(tmp_path / "many" / "b", first)
    store(tmp_path / "many" / "a", third)
    store(tmp_path / "one", second)
    (tmp_path / "many" / "notes").mkdir()
    shutil.copy(tmp_path / "one" / "manifest.json", tmp_path / "many" / "stray")
    found, left_out = load_runs([tmp_path / "many", tmp_path / "one", tmp_path / "many" / "a"])
    assert left_out == []
    assert [each.path.name for each in found] == ["b", "one", "a"]
    with pytest.raises(BadInput, match=r"notes: holds no run"):
        load_runs([tmp_path / "many" / "notes"])
    with pytest.raises(BadInput, match="no such folder"):
        load_runs([tmp_path / "missing"])


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("measurements.jsonl", "{}\n", "damaged"),
        ("measurements.jsonl", "", "holds no measurements yet"),
        ("manifest.json", "{", "damaged"),
    ],
)
def test_a_run_that_cannot_be_read_keeps_nobody_from_the_rest(
    tmp_path: Path, file: str, content: str, why: str
) -> None:
    first, second = runs([1.0, 2.0])
    store(tmp_path / "good", first)
    store(tmp_path / "bad", second)
    (tmp_path / "bad" / file).write_text(content)
    for folders in ([tmp_path], [tmp_path / "bad", tmp_path / "good"]):
        found, [left_out] = load_runs(folders)
        assert [each.path.name for each in found] == ["good"]
        assert str(tmp_path / "bad") in left_out
        assert why in left_out
        assert left_out.endswith("; the run was left out")
    with pytest.raises(BadInput, match=why):
        load_runs([tmp_path / "bad"])


def test_a_series_goes_on_from_runs_that_do_not_tell_defaults() -> None:
    [older, newer] = runs([1.0, 2.0])
    older = LoadedRun(
        older.path, older.manifest.model_copy(update={"schema_version": 3}), older.processes, older.notices
    )
    [of] = newer.processes
    cell = of.cell.model_copy(update={"estimator": of.cell.estimator.completed({"lam": 0.0})})
    newer = LoadedRun(
        newer.path, newer.manifest, [of.model_copy(update={"cell": cell, "key": cell.key})], newer.notices
    )
    [series] = histories([older, newer], ["peak_bytes"])
    assert [each.value for each in series.points] == [1.0, 2.0]
