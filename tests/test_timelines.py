import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cell import Cell, Part
from harness.errors import BadInput
from harness.timelines import MAX_FILE_BYTES, MAX_POINTS, TRACES, Timeline, load_timelines, thinned

CELL = Cell(problem=Part(name="linear"), estimator=Part(name="maml"), label="MAML", steps=4)
STORED = Timeline.of(CELL, [0.0, 0.25, 0.5], [0, 8, 0], [("inner", 0.1, 0.4), ("step", 0.1, 0.2)])


def folder(run: Path) -> Path:
    (run / TRACES).mkdir()
    return run / TRACES


def test_a_timeline_survives_the_disk(tmp_path: Path) -> None:
    assert STORED.write(folder(tmp_path), CELL.key) == tmp_path / "traces" / f"{CELL.key}.timeline.json"
    assert load_timelines(tmp_path) == [STORED]
    assert (STORED.key, STORED.label, STORED.steps) == (CELL.key, "MAML", 4)
    assert (STORED.peak_bytes, STORED.peak_at_seconds) == (8, 0.25)


def test_writing_again_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    traces = folder(tmp_path)
    for label in ("old", "new"):
        STORED.model_copy(update={"label": label}).write(traces, "cell")
    assert [path.name for path in traces.iterdir()] == ["cell.timeline.json"]
    assert [timeline.label for timeline in load_timelines(tmp_path)] == ["new"]


def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    STORED.write(folder(tmp_path), "cell")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        STORED.model_copy(update={"label": "new"}).write(tmp_path / TRACES, "cell")
    assert load_timelines(tmp_path) == [STORED]


def test_a_run_without_traces_has_no_timelines(tmp_path: Path) -> None:
    assert load_timelines(tmp_path) == []
    assert load_timelines(tmp_path / "missing") == []


def test_they_come_in_the_order_of_their_names_and_other_files_are_left_alone(tmp_path: Path) -> None:
    traces = folder(tmp_path)
    for name in ("b", "a", "c"):
        STORED.model_copy(update={"label": name}).write(traces, name)
    (traces / "a.profile.json.gz").write_bytes(b"\x1f\x8b")
    (traces / "a.snapshot.pickle").write_bytes(b"never read")
    assert [timeline.label for timeline in load_timelines(tmp_path)] == ["a", "b", "c"]


def changed(**fields: Any) -> bytes:
    return json.dumps(STORED.model_dump() | fields).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"{}", "damaged (schema_version: Field required"),
        (STORED.model_dump_json().encode()[:-20], "damaged"),
        (changed(schema_version=2), "made by a newer imaml-bench (timeline schema 2; this one reads up to 1)"),
        (changed(extra=1), "damaged (extra: "),
        (changed(seconds=[0.0, 0.5, 0.25]), "damaged (the times do not ascend)"),
        (changed(seconds=[0.0]), "damaged (1 times, but 3 numbers of bytes)"),
        (changed(seconds=[], live_bytes=[]), "damaged (seconds: "),
        (changed(seconds=[0.0, 0.1, float("nan")]), "damaged (seconds.2: "),
        (changed(seconds=[-1.0, 0.1, 0.2]), "damaged (seconds.0: "),
        (changed(seconds=[0.0] * 5000, live_bytes=[0] * 5000), "damaged (seconds: "),
        (changed(live_bytes=[0, 10**30, 0]), "damaged (live_bytes.1: "),
        (changed(live_bytes=[0, 0.5, 0]), "damaged (live_bytes.1: "),
        (changed(steps=0), "damaged (steps: "),
        (
            changed(phases=[{"name": "x", "start_seconds": 2.0, "end_seconds": 1.0}]),
            "damaged (phases.0: phase 'x' ends before it begins)",
        ),
    ],
)  # fmt: skip
def test_damaged_files_are_refused_in_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    (folder(tmp_path) / "bad.timeline.json").write_bytes(content)
    with pytest.raises(BadInput) as refused:
        load_timelines(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / TRACES / 'bad.timeline.json'}: {message}")
    assert "\n" not in str(refused.value)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (a_folder, "not a file"),
        (a_pipe, "not a file"),
        (a_dangling_link, "not a file"),
        (a_huge_file, "larger than a timeline can be"),
    ],
)
def test_what_is_no_file_of_ours_is_not_read(make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    make(folder(tmp_path) / "odd.timeline.json")
    with pytest.raises(BadInput, match=message):
        load_timelines(tmp_path)


def walk(length: int) -> tuple[list[float], list[int]]:
    """A random sawtooth with rests in it."""
    draw = random.Random(0)
    seconds, live_bytes = [0.0], [0]
    for _ in range(length - 1):
        seconds.append(seconds[-1] + draw.expovariate(1.0) * draw.choice([1, 1, 1, 300]))
        live_bytes.append(draw.randrange(10**9))
    return seconds, live_bytes


def test_a_short_timeline_is_kept_as_it_is() -> None:
    seconds, live_bytes = walk(MAX_POINTS)
    assert thinned(seconds, live_bytes) == (tuple(seconds), tuple(live_bytes))


def test_a_long_one_keeps_ends_and_extremes_of_every_stretch() -> None:
    seconds, live_bytes = walk(20 * MAX_POINTS)
    thin_seconds, thin_bytes = thinned(seconds, live_bytes)
    assert len(thin_seconds) == len(thin_bytes) <= MAX_POINTS
    assert (thin_seconds[0], thin_seconds[-1]) == (seconds[0], seconds[-1])
    assert list(thin_seconds) == sorted(thin_seconds)
    assert set(zip(thin_seconds, thin_bytes, strict=True)) <= set(zip(seconds, live_bytes, strict=True))
    assert (max(thin_bytes), min(thin_bytes)) == (max(live_bytes), min(live_bytes))
    stretch = seconds[-1] / (MAX_POINTS // 4)
    for part in range(0, MAX_POINTS // 4, 50):
        inside = [level for at, level in zip(seconds, live_bytes, strict=True) if int(at / stretch) == part]
        kept = [level for at, level in zip(thin_seconds, thin_bytes, strict=True) if int(at / stretch) == part]
        assert not inside or (max(inside), min(inside), inside[0], inside[-1]) == (
            max(kept), min(kept), kept[0], kept[-1],
        )  # fmt: skip


def test_a_level_that_lasts_is_kept_however_much_goes_on_before_it() -> None:
    """Between a burst of 10,000 changes and the end, half a second at 5 bytes."""
    burst = [index * 1e-9 for index in range(10_000)]
    seconds, live_bytes = [*burst, 2e-5, 0.5], [*(index % 100 for index in range(10_000)), 5, 0]
    thin = dict(zip(*thinned(seconds, live_bytes), strict=True))
    assert (thin[2e-5], thin[0.5]) == (5, 0)


def test_a_timeline_without_duration_is_thinned_too() -> None:
    assert thinned([1.0] * 9000, list(range(9000))) == ((1.0, 1.0), (0, 8999))


def test_a_long_recording_is_stored_thinned(tmp_path: Path) -> None:
    seconds, live_bytes = walk(3 * MAX_POINTS)
    Timeline.of(CELL, seconds, live_bytes, []).write(folder(tmp_path), "long")
    (loaded,) = load_timelines(tmp_path)
    assert len(loaded.seconds) <= MAX_POINTS
    assert loaded.peak_bytes == max(live_bytes)
