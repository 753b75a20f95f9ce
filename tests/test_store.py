import json
import math
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cell import SCHEMA_VERSION, Cell, Measurement, Part, Status
from harness.errors import BadInput
from harness.lines import Judge
from harness.manifest import Machine, Manifest, SuiteIdentity
from harness.store import load_run, open_run

ROOT = Path(__file__).parents[1]

NOW = "2026-01-02T03:04:05+00:00"

MACHINE = Machine(
    system="Linux", processor="x86", logical_cores=2, memory_bytes=2**33, device="cpu", device_name="x86", threads=2,
    python="3.11", torch="2.12", harness="0.1.0",
)  # fmt: skip


def cell(steps: int) -> Cell:
    return Cell(problem=Part(name="linear"), estimator=Part(name="maml"), label="MAML", steps=steps)


def measured(steps: int, status: Status = Status.OK, **metrics: list[float]) -> Measurement:
    metrics = metrics or ({"flops": [1.0]} if status is Status.OK else {})
    return Measurement(key=cell(steps).key, cell=cell(steps), status=status, started_at=NOW, metrics=metrics)


def planning(*steps: int, suite: str = "fig2a", digest: str = "d", **machine: object) -> Manifest:
    return Manifest(
        suite=SuiteIdentity(name=suite, title="Title", digest=digest),
        machine=MACHINE.model_copy(update=machine),
        created_at=NOW,
        command=["imaml-bench", "run"],
        git_revision="abc",
        planned=[cell(k).key for k in steps],
    )


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run of three planned cells, of which one is measured and one failed."""
    path = tmp_path / "run"
    with open_run(path, planning(1, 2, 3)) as run:
        run.append(measured(1))
        run.append(measured(2, Status.OOM))
    return path


def refusal(path: Path, manifest: Manifest) -> str:
    """The one line that refuses to open ``path`` for writing."""
    with pytest.raises(BadInput) as caught:
        open_run(path, manifest).close()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def unreadable(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load_run(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# A run, begun, continued and read


def test_new_run_is_read_back(tmp_path: Path):
    path = tmp_path / "parents" / "too"
    with open_run(path, planning(1, 2)) as run:
        run.append(measured(2, wall_seconds=[0.5, 0.25]))
        run.append(measured(1))
        assert run.notices == []
    assert sorted(contents(path)) == ["manifest.json", "measurements.jsonl"]
    loaded = load_run(path)
    assert loaded.manifest == planning(1, 2)
    assert loaded.measurements == [measured(1), measured(2, wall_seconds=[0.5, 0.25])]
    assert loaded.notices == []


def test_every_non_finite_sample_is_read_back(tmp_path: Path):
    with open_run(tmp_path, planning(1)) as run:
        run.append(measured(1, Status.DIVERGED, query_loss=[math.inf, -math.inf, math.nan, 0.1]))
    [measurement] = load_run(tmp_path).measurements
    assert repr(measurement.metrics["query_loss"]) == "[inf, -inf, nan, 0.1]"


def test_appended_line_is_on_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[bytes] = []
    with open_run(tmp_path, planning(1)) as run:
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append((tmp_path / "measurements.jsonl").read_bytes()))
        run.append(measured(1))
    [written] = synced
    assert written.endswith(b"\n")
    assert Judge(planning(1)).measurement(written[:-1]) == measured(1)


def test_manifest_is_replaced_never_rewritten(finished: Path):
    before = (finished / "manifest.json").stat().st_ino
    with (finished / "manifest.json").open() as old, open_run(finished, planning(4)):
        assert len(json.load(old)["planned"]) == 3
    assert (finished / "manifest.json").stat().st_ino != before
    assert len(json.loads((finished / "manifest.json").read_text())["planned"]) == 4


def test_only_successes_are_done(finished: Path):
    with open_run(finished, planning(1, 2, 3)) as run:
        assert list(run.done()) == [(cell(1).key, 0)]
        run.append(measured(3, Status.CRASH))
        run.append(measured(2))
        assert run.done() == {(cell(1).key, 0), (cell(2).key, 0)}
        run.append(measured(3))
        assert run.done() == {(cell(each).key, 0) for each in (1, 2, 3)}
    statuses = {m.cell.steps: m.status for m in load_run(finished).measurements}
    assert statuses == {1: Status.OK, 2: Status.OK, 3: Status.OK}


def test_continuing_adds_to_what_is_planned_and_keeps_the_rest(finished: Path):
    later = planning(3, 5, 1).model_copy(update={"created_at": "2027-01-02T03:04:05+00:00", "command": ["again"]})
    with open_run(finished, later) as run:
        assert run.manifest == planning(1, 2, 3, 5)
        assert run.notices == []
    assert load_run(finished).manifest == planning(1, 2, 3, 5)


def test_continuing_at_another_git_revision_is_told(finished: Path):
    with open_run(finished, planning(1).model_copy(update={"git_revision": "def"})) as run:
        assert run.notices == [f"{finished}: begun at git revision abc, goes on at def"]


def test_measurements_are_read_in_planned_order(tmp_path: Path):
    with open_run(tmp_path, planning(3, 7, 1)) as run:
        for steps in (7, 1, 3):
            run.append(measured(steps))
    assert [m.cell.steps for m in load_run(tmp_path).measurements] == [3, 7, 1]


def test_planned_cells_without_a_measurement_are_counted(finished: Path):
    assert load_run(finished).notices == ["1 of 3 planned cells have no measurement"]


def test_finish_notes_the_median_overhead_of_the_latest_measurements(finished: Path):
    with open_run(finished, planning(1, 4)) as run:
        run.finish()
        assert run.manifest.overhead_seconds_median is None
        run.append(measured(2, Status.CRASH, overhead_seconds=[100.0]))
        run.append(measured(2, Status.TIMEOUT, overhead_seconds=[2.0]))
        run.append(measured(4, flops=[1.0], overhead_seconds=[1.0]))
        run.append(measured(3, flops=[1.0], overhead_seconds=[4.0]))
        run.finish()
    assert load_run(finished).manifest.overhead_seconds_median == 2.0


@pytest.mark.parametrize(
    "leftovers", [[], ["measurements.jsonl"], ["measurements.jsonl", ".manifest.json.0a1b2c3d.new"]]
)
def test_start_aborted_before_its_manifest_was_there_is_no_obstacle(tmp_path: Path, leftovers: list[str]):
    for name in leftovers:
        (tmp_path / name).touch()
    with open_run(tmp_path, planning(1)) as run:
        run.append(measured(1))
    assert sorted(contents(tmp_path)) == ["manifest.json", "measurements.jsonl"]


def test_run_whose_measurements_are_missing_goes_on(finished: Path):
    (finished / "measurements.jsonl").unlink()
    with open_run(finished, planning(1, 2, 3)) as run:
        assert run.done() == set()


# Killed and damaged


WRITER = """
import json, sys
from pathlib import Path
from harness.cell import Cell, Measurement
from harness.manifest import Manifest
from harness.store import open_run

path, manifest, cell = Path(sys.argv[1]), Manifest.model_validate_json(sys.argv[2]), json.loads(sys.argv[3])
with open_run(path, manifest) as run:
    for steps in range(len(run.done()) + 1, 1_000):
        new = Cell.model_validate({**cell, "steps": steps})
        samples = {"wall_seconds": [0.123456789] * 10_000}  # long lines, to be killed amid one
        run.append(Measurement(key=new.key, cell=new, status="ok", started_at="2026-01-02T03:04:05Z", metrics=samples))
        print(new.key, flush=True)
"""


def test_killed_writer_loses_nothing_that_was_appended(tmp_path: Path):
    chance = random.Random(0)
    plan = planning(*range(1, 1_000))
    arguments = [str(tmp_path / "run"), plan.model_dump_json(), cell(1).model_dump_json()]
    appended: list[str] = []
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            appended += [writer.stdout.readline().strip() for _ in range(chance.randint(1, 15))]
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(chance.uniform(0, 0.01))
            writer.kill()
            appended += writer.stdout.read().split()
        with open_run(tmp_path / "run", plan) as run:
            done = [key for key in plan.planned if (key, 0) in run.done()]
            assert done[: len(appended)] == appended
            assert len(done) <= len(appended) + 1  # one may have been written and not yet printed
            appended = done
        assert [m.key for m in load_run(tmp_path / "run").measurements] == appended
    assert len(appended) >= 4


@pytest.mark.parametrize("torn", [b"{", b'{"schema_version": 1, "key"', b"\0\0\0\0", b"\xff\xfe", b"{}"])
def test_torn_last_line_is_told_when_read_and_cut_off_when_written(finished: Path, torn: bytes):
    file = finished / "measurements.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    before = contents(finished)
    loaded = load_run(finished)
    assert [m.cell.steps for m in loaded.measurements] == [1, 2]
    assert loaded.notices[1:] == [f"{file}: the last line is incomplete and was left out"]
    assert contents(finished) == before

    with open_run(finished, planning(1, 2, 3)) as run:
        assert run.notices == [f"{file}: the last line was incomplete and was cut off"]
        assert file.read_bytes() == whole
        run.append(measured(3))
    assert [m.cell.steps for m in load_run(finished).measurements] == [1, 2, 3]
    with open_run(finished, planning(1, 2, 3)) as run:
        assert run.notices == []


def test_last_line_without_its_newline_is_torn(finished: Path):
    file = finished / "measurements.jsonl"
    file.write_bytes(file.read_bytes()[:-1])
    assert [m.cell.steps for m in load_run(finished).measurements] == [1]
    with open_run(finished, planning(1)) as run:
        run.append(measured(2))
    assert [m.cell.steps for m in load_run(finished).measurements] == [1, 2]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[" * 10_000, "Invalid JSON"),
        (b"5", "Input should be an object"),
        (b"{}", "schema_version: Field required"),
        (b'{"schema_version": 1}', "key: Field required"),
    ],
)
def test_a_damaged_line_is_left_out_and_told(finished: Path, line: bytes, why: str):
    file = finished / "measurements.jsonl"
    first, second = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([first, line, second, b""]))
    before = file.read_bytes()
    loaded = load_run(finished)
    assert loaded.measurements == [measured(1), measured(2, Status.OOM)]
    told = loaded.notices[-1]
    assert told.startswith(f"{file}, line 2: damaged ({why}")
    assert told.endswith("; left out")
    with open_run(finished, planning(1, 2, 3)) as run:
        assert run.notices == [told]
        assert run.done() == {(cell(1).key, 0)}
    assert file.read_bytes() == before


def test_damaged_last_line_with_its_newline_is_damage(finished: Path):
    with (finished / "measurements.jsonl").open("ab") as file:
        file.write(b"{}\n")
    assert ", line 3: damaged" in load_run(finished).notices[-1]


def test_failed_append_leaves_the_file_as_it_was(finished: Path):
    file = finished / "measurements.jsonl"
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_run(finished, planning(1, 2, 3)) as run:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))  # as a full disk would
        try:
            with pytest.raises(BadInput, match=r"cannot write to .*measurements.jsonl: File too large"):
                run.append(measured(3))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert file.read_bytes() == before
        assert (cell(3).key, 0) not in run.done()
        run.append(measured(3))
    assert [m.cell.steps for m in load_run(finished).measurements] == [1, 2, 3]


# Refused


def test_second_writer_is_refused_until_the_first_is_done(finished: Path):
    with open_run(finished, planning(1)):
        before = contents(finished)
        assert "is being written to by process" in refusal(finished, planning(1))
        assert contents(finished) == before
        assert len(load_run(finished).measurements) == 2
    open_run(finished, planning(1)).close()


def test_refusal_lets_the_next_writer_in(finished: Path):
    manifest = finished / "manifest.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(b"{}")
    assert "damaged" in refusal(finished, planning(1))
    manifest.write_bytes(whole)
    open_run(finished, planning(1)).close()


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (planning(1, suite="fig2b"), "was made for suite 'fig2a', not 'fig2b'"),
        (planning(1, digest="e"), "was made for suite 'fig2a' as it was before its file changed"),
        (planning(1, torch="2.13"), "was made on another machine (torch: 2.12 there, 2.13 here)"),
        (
            planning(1, threads=1, device_uuid="GPU-1"),
            "was made on another machine (device_uuid: None there, GPU-1 here; threads: 2 there, 1 here)",
        ),
        (planning(1, threads=1), "was made with --threads 2; add that, or"),
        (
            planning(1, threads=1, device="cuda:0", device_name="H100", device_uuid="GPU-1", driver="1"),
            "was made with --device cpu --threads 2; add that, or",
        ),
    ],
)
def test_run_of_another_suite_or_machine_is_refused_untouched(finished: Path, manifest: Manifest, why: str):
    before = contents(finished)
    assert refusal(finished, manifest) == f"{finished} {why}{'' if why.endswith('or') else ';'} choose another --out"
    assert contents(finished) == before


@pytest.mark.parametrize("name", ["notes.txt", "measurements.jsonl"])
def test_folder_that_holds_something_else_is_refused_untouched(tmp_path: Path, name: str):
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    assert refusal(tmp_path, planning(1)) == f"{tmp_path} is not empty and holds no run; choose another --out"
    assert contents(tmp_path) == before


def test_file_is_refused_untouched(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("mine")
    assert refusal(file, planning(1)) == f"{file} is not a folder; choose another --out"
    assert refusal(file / "below", planning(1)) == f"cannot write to {file}/below: Not a directory"
    assert file.read_text() == "mine"


def test_place_that_cannot_be_written_to_is_refused():
    assert refusal(Path("/proc/run"), planning(1)).startswith("cannot write to /proc/run: ")


def newer(path: Path) -> str:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "schema_version": SCHEMA_VERSION + 2, "novel": 1}))
    return f"made by a newer imaml-bench (schema {SCHEMA_VERSION + 2}; this one reads up to {SCHEMA_VERSION})"


def damaged(path: Path) -> str:
    (path / "manifest.json").write_bytes((path / "manifest.json").read_bytes()[:-10])
    return "manifest.json: damaged (Invalid JSON"


def incomplete(path: Path) -> str:
    (path / "manifest.json").write_text(json.dumps({"schema_version": 1, "suite": {"name": "fig2a"}}))
    return "manifest.json: damaged (suite.title: Field required"


@pytest.mark.parametrize("spoil", [newer, damaged, incomplete])
def test_bad_manifest_is_refused_by_readers_and_writers(finished: Path, spoil: Callable[[Path], str]):
    why = spoil(finished)
    before = contents(finished)
    assert why in unreadable(finished)
    assert why in refusal(finished, planning(1))
    assert contents(finished) == before


def test_what_holds_no_run_cannot_be_read(tmp_path: Path):
    (tmp_path / "file").touch()
    assert unreadable(tmp_path / "missing") == f"{tmp_path}/missing: no such folder"
    assert unreadable(tmp_path / "file") == f"{tmp_path}/file: not a folder"
    assert unreadable(tmp_path) == f"{tmp_path}: holds no run (manifest.json is missing)"
    open_run(tmp_path / "empty", planning(1)).close()
    assert unreadable(tmp_path / "empty") == f"{tmp_path}/empty: holds no measurements yet"
    (tmp_path / "empty" / "measurements.jsonl").unlink()
    assert unreadable(tmp_path / "empty") == f"{tmp_path}/empty: holds no measurements yet"


def test_reading_needs_no_torch():
    code = "import sys, harness.store, harness.suite; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_runs_of_the_first_schema_still_read() -> None:
    run = load_run(Path(__file__).parent / "runs" / "schema1")
    assert run.manifest.schema_version == 1
    assert [measurement.cell.label for measurement in run.measurements] == ["MAML", "MAML, replay", "FOMAML"]
    assert [measurement.cell.studies for measurement in run.measurements] == [(), (), ()]
    assert any("22" in notice for notice in run.notices)


def test_a_run_whose_cells_do_not_tell_their_defaults_is_read_but_not_continued(finished: Path):
    older = (
        (finished / "manifest.json").read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 3')
    )
    (finished / "manifest.json").write_text(older)
    before = contents(finished)
    assert "schema 3, whose cells do not tell the defaults" in refusal(finished, planning(1, 2, 3))
    assert contents(finished) == before
    assert len(load_run(finished).measurements) == 2


# Hostile text


def test_what_a_terminal_would_obey_in_a_run_is_written_out_as_it_is_read(tmp_path: Path):
    hostile, shown = "MAML \x1b]0;x\x07\x9b2J\u202e", r"MAML \x1b]0;x\x07\x9b2J\u202e"
    of = measured(1).model_copy(update={"reason": hostile, "notes": {"peak_bytes": hostile, hostile: "λ"}})
    of = of.model_copy(update={"cell": of.cell.model_copy(update={"label": hostile})})
    manifest = planning(1)
    suite = manifest.suite.model_copy(update={"title": hostile})
    with open_run(tmp_path, manifest.model_copy(update={"suite": suite, "command": [hostile]})) as run:
        run.append(of)
    loaded = load_run(tmp_path)
    [found] = loaded.measurements
    assert (found.key, found.cell.key, found.status) == (of.key, of.cell.key, Status.OK)
    assert isinstance(found.status, Status)
    assert (found.cell.label, found.reason, found.notes) == (shown, shown, {"peak_bytes": shown, shown: "λ"})
    assert (loaded.manifest.suite.title, loaded.manifest.command) == (shown, [shown])
