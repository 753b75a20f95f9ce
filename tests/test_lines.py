"""What of a run directory is taken in, and what is left out with its reason."""

import json
import math
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import lines, versions
from harness.cell import METRICS, Cell, Measurement, Part, Status, metric_of
from harness.compare import compare_runs
from harness.errors import BadInput
from harness.expectation import Bounds, Expectation
from harness.expectations import verdicts
from harness.lines import Judge, Outcome, line
from harness.manifest import Manifest
from harness.report import write_report
from harness.store import load_run, open_run
from harness.text import harmless
from tests.report.synthetic import MACHINE, STARTED, run

ROOT = Path(__file__).parents[1]


def cell(steps: int = 1, **changes: Any) -> Cell:
    fields = {"problem": Part(name="linear"), "estimator": Part(name="maml"), "label": "MAML", "steps": steps}
    return Cell.model_validate(fields | changes)


def measured(steps: int = 1, status: Status = Status.OK, **changes: Any) -> Measurement:
    metrics = {"peak_bytes": [8.0], "wall_seconds": [0.5, 0.25]} if status is Status.OK else {}
    whole = Measurement(
        key=cell(steps).key, cell=cell(steps), status=status, started_at=STARTED, metrics=metrics, notes={"a": 'b"c\\'}
    )
    return whole.model_copy(update=changes)


def plan(*steps: int, **changes: Any) -> Manifest:
    return run([measured(each) for each in steps], **changes).manifest


def stored(**changes: Any) -> dict[str, Any]:
    """The first cell's line as a table, without a digest."""
    return json.loads(measured().model_dump_json()) | changes


def altered(place: str, value: object) -> dict[str, Any]:
    """The same with one value in it another."""
    content = stored()
    at = content
    *tables, name = place.split(".")
    for table in tables:
        at = at[table]
    at[name] = value
    return content


def reason(text: bytes | dict[str, Any], manifest: Manifest | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        Judge(manifest or plan(1)).measurement(text if isinstance(text, bytes) else json.dumps(text).encode())
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def write(folder: Path, manifest: Manifest, *texts: bytes | dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    written = [text if isinstance(text, bytes) else json.dumps(text).encode() for text in texts]
    (folder / "measurements.jsonl").write_bytes(b"".join(each + b"\n" for each in written))
    return folder


# A line and its key


@pytest.mark.parametrize(
    "text", [line(measured()), json.dumps(stored()).encode(), json.dumps(stored(), indent=1).encode()]
)
def test_a_line_is_taken_in_with_its_digest_or_without(text: bytes) -> None:
    assert Judge(plan(1)).measurement(text) == measured()
    assert Judge(plan(1)).outcome(text) == Outcome.of(measured())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("cell.steps", 7),
        ("cell.dtype", "float64"),
        ("cell.seed", 1),
        ("cell.problem.name", "mlp"),
        ("cell.estimator.parameters", {"lam": 1.0}),
        ("cell.measure", ["memory"]),
        ("key", cell(2).key),
    ],
)
def test_a_cell_altered_under_its_key_is_noticed(place: str, value: object) -> None:
    assert "its cell is not the one of its key" in reason(altered(place, value), plan(1, 2, 7))


def test_what_is_no_part_of_the_key_may_be_another() -> None:
    for place, value in (("cell.label", "x"), ("cell.time_limit_seconds", 1.0), ("cell.estimator.given", {"lam": 1})):
        text = json.dumps(altered(place, value)).encode()
        assert Judge(plan(1)).measurement(text).key == cell(1).key


def test_a_line_of_another_run_is_noticed() -> None:
    assert reason(line(measured(3))) == f"the run's plan has no cell {cell(3).key}"
    assert reason(stored(repeat=2), plan(1, repeats=2)) == "process 2 of a run of 2"
    assert Judge(plan(1, repeats=3)).measurement(line(measured(repeat=2))).repeat == 2


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_byte_of_a_line_is_changed_unnoticed(data: st.DataObject) -> None:
    text = bytearray(line(measured()))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    assert reason(bytes(text))
    with pytest.raises(BadInput):
        Judge(plan(1)).outcome(bytes(text))


def test_a_number_changed_under_its_digest_is_noticed() -> None:
    text = line(measured()).replace(b"0.25", b"0.15")
    assert reason(text) == "it was changed after it was written: its digest is another"


# Types and bounds


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        ("metrics.peak_bytes", [-1.0], "metrics.peak_bytes: -1.0 is not between 0 and"),
        ("metrics.peak_bytes", [0.5], "metrics.peak_bytes: 0.5 is not a whole number"),
        ("metrics.peak_bytes", [1e300], "metrics.peak_bytes: 1e+300 is not between"),
        ("metrics.gradient_count", [1.5], "metrics.gradient_count: 1.5 is not a whole number"),
        ("metrics.flops", [-2.0], "metrics.flops: -2.0 is not between"),
        ("metrics.wall_seconds", [0.5, -0.1], "metrics.wall_seconds: -0.1 is not between"),
        ("metrics.wall_seconds", ["Infinity"], "metrics.wall_seconds: inf is not between"),
        ("metrics.wall_seconds", ["NaN"], "metrics.wall_seconds: nan is not between"),
        ("metrics.steal_share", [1.5], "metrics.steal_share: 1.5 is not between 0 and 1"),
        ("metrics.negative_curvature", [2.0], "metrics.negative_curvature: 2.0 is not between 0 and 1"),
        ("metrics.backprop_relative_error", [-1e-9], "metrics.backprop_relative_error: -1e-09 is not between"),
        ("metrics.implicit_cosine", [1.1], "metrics.implicit_cosine: 1.1 is not between"),
        ("metrics.energy_joules", ["NaN"], "metrics.energy_joules: nan is not"),
        ("metrics.peak_bytes", [], "metrics.peak_bytes: the series is empty"),
        ("metrics.unknown", [], "metrics.unknown: the series is empty"),
        ("metrics.peak_bytes", [True], "damaged (metrics.peak_bytes.0: of another type than it has to be)"),
        ("metrics.peak_bytes", ["8"], "damaged (metrics.peak_bytes.0: of another type than it has to be)"),
        ("metrics.peak_bytes", [None], "damaged (metrics.peak_bytes.0: Input should be a valid number)"),
        ("metrics.peak_bytes", 8.0, "damaged (metrics.peak_bytes: Input should be a valid"),
        ("metrics.query_loss", [math.nan], "damaged (NaN is not JSON)"),
        ("metrics", {}, "it says ok, but has no metric of the passes memory, counters, time, phases"),
        ("metrics", {"query_loss": [1.0]}, "it says ok, but has no metric of the passes"),
        ("schema_version", 0, "damaged (schema_version: there is no schema 0)"),
        ("schema_version", -1, "damaged (schema_version: there is no schema -1)"),
        ("schema_version", "3", "damaged (schema_version: of another type"),
        ("schema_version", 4.0, "damaged (schema_version"),
        ("schema_version", True, "damaged (schema_version"),
        ("schema_version", None, "damaged (schema_version: Field required)"),
        ("schema_version", 10**30, "made by a newer imaml-bench"),
        ("started_at", "yesterday", 'started_at: "yesterday" is not a time in UTC such as'),
        ("started_at", "2026-13-02T03:04:05Z", "started_at: "),
        ("started_at", "2026-01-02T03:04:05+01:00", "started_at: "),
        ("started_at", "2026-01-02", "started_at: "),
        ("started_at", 5, "damaged (started_at: "),
        ("repeat", -1, "damaged (repeat: Input should be greater than or equal to 0)"),
        ("repeat", 10**9, "damaged (repeat: Input should be less than 1000)"),
        ("repeat", "0", "damaged (repeat: of another type"),
        ("repeat", 0.0, "damaged (repeat: of another type"),
        ("repeat", False, "damaged (repeat: of another type"),
        ("cell.steps", True, "damaged (cell.steps: of another type"),
        ("cell.steps", 1.0, "damaged (cell.steps: of another type"),
        ("cell.steps", 10**18, "damaged (cell.steps: Input should be less than or equal to 1000000)"),
        ("status", "fine", "damaged (status: Input should be"),
        ("novel", 1, "damaged (novel: Extra inputs are not permitted)"),
        ("x" * 9000, 1, "damaged (xxx"),
    ],
)
def test_what_cannot_be_is_left_out_with_its_reason(place: str, value: object, why: str) -> None:
    assert reason(altered(place, value)).startswith(why)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"steps": 1', b'"steps": 1, "steps": 1'),
        (b'"steps": 1', b'"steps": 7, "steps" : 1'),
        (b'"key": ', b'"key": "another", "key":'),
        (b'"peak_bytes": [8.0]', b'"peak_bytes": [9.0], "peak_bytes": [8.0]'),
    ],
)
def test_a_key_that_is_there_twice_is_noticed(old: bytes, new: bytes) -> None:
    text = json.dumps(stored()).encode()
    assert old in text
    name = old.split(b'"')[1].decode()
    for each in (text.replace(old, new), text.replace(old, new).replace(b": ", b":").replace(b", ", b",")):
        assert reason(each) == f"damaged ({name}: is there twice)"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("metrics.peak_bytes", [8]),
        ("metrics.retained_bytes", [-8.0]),
        ("metrics.device_bytes", [-8.0]),
        ("metrics.query_loss", ["NaN", "-Infinity", -1.0]),
        ("metrics.backprop_cosine", [1.0000000000000004, -1.0000000000000004, "NaN"]),
        ("metrics.backprop_relative_error", ["Infinity", 0.0, 5e-324]),
        ("metrics.aura", [-1.0, "NaN"]),
        ("started_at", "2026-01-02T03:04:05.123456+00:00"),
    ],
)
def test_what_can_be_is_taken_in(place: str, value: object) -> None:
    text = json.dumps(altered(place, value)).encode()
    assert repr(Judge(plan(1)).measurement(text)) == repr(Measurement.model_validate_json(text))


def test_every_metric_says_what_values_it_can_have() -> None:
    for name, metric in METRICS.items():
        assert metric.fault([]) == "the series is empty"
        assert metric.fault([1.0]) is None, name
        bounded = (
            metric.unit != "1" or metric.deterministic is False or name not in ("query_loss", "smallest_curvature")
        )
        assert (metric.fault([-1e300]) is not None) is bounded, name
    assert metric_of("unknown").fault([-math.inf, math.nan]) is None


def written_out(value: Any) -> Any:
    """A JSON value with nothing in it that a terminal would obey."""
    match value:
        case str():
            return harmless(value)
        case dict():
            return {harmless(name): written_out(each) for name, each in value.items()}
        case list():
            return [written_out(each) for each in value]
        case _:
            return value


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_value_anywhere_is_taken_in_or_left_out_in_one_line(data: st.DataObject) -> None:
    content = stored()
    places = [
        "schema_version",
        "key",
        "cell",
        "cell.steps",
        "cell.problem",
        "cell.studies",
        "cell.seed",
        "status",
        "reason",
    ]
    places += ["repeat", "notes", "metrics", "metrics.peak_bytes"]
    *tables, name = data.draw(st.sampled_from(places)).split(".")
    at: Any = content
    for table in tables:
        at = at[table]
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
    at[name] = data.draw(values)
    why, taken = None, None
    try:
        taken = Judge(plan(1)).measurement(json.dumps(content).encode())
    except BadInput as error:
        why = str(error)
    assert (taken is None) == (why is not None)
    assert "\n" not in (why or "")
    assert taken is None or json.loads(taken.model_dump_json(exclude_unset=True)) == written_out(content)


def test_control_characters_are_written_out_wherever_they_stand() -> None:
    content = stored() | {"reason": "a\x1bb", "status": "crash", "notes": {"\x1f": "\u202e"}}
    taken = Judge(plan(1)).measurement(json.dumps(content).encode())
    assert (taken.reason, taken.notes) == (harmless("a\x1bb"), {harmless("\x1f"): harmless("\u202e")})
    assert harmless("\x1f") != "\x1f"


# In a run


def test_what_is_left_out_counts_nowhere(tmp_path: Path) -> None:
    """Not in the report, nor for a gate, nor in a comparison, nor when the run goes on."""
    forged = altered("cell.steps", 2) | {"key": cell(2).key, "metrics": {"peak_bytes": [-8.0]}}
    path = write(tmp_path / "run", plan(1, 2), line(measured(1)), forged)
    told = f"{path}/measurements.jsonl, line 2: metrics.peak_bytes: -8.0 is not between 0 and 9.22337e+18; left out"
    loaded = load_run(path)
    assert loaded.measurements == [measured(1)]
    assert loaded.notices == ["1 of 2 planned cells have no measurement", told]
    assert any(told in notice for notice in compare_runs(loaded, loaded).notices)
    claim = Expectation(claim="all", metric="peak_bytes", value=Bounds(min=0.0))
    assert all("-8" not in str(each) for each in verdicts(loaded, [claim]))
    assert "line 2: metrics.peak_bytes" in write_report([loaded], tmp_path / "report").read_text()
    with open_run(path, plan(1, 2)) as opened:
        assert opened.notices == [told]
        assert opened.done() == {(cell(1).key, 0)}


def test_of_two_lines_of_a_process_that_ended_well_the_first_counts(tmp_path: Path) -> None:
    other = measured(1, metrics={"peak_bytes": [9.0]})
    failed = measured(2, Status.CRASH)
    path = write(tmp_path / "run", plan(1, 2), line(failed), line(measured(1)), line(other), line(measured(2)))
    loaded = load_run(path)
    assert loaded.measurements == [measured(1), measured(2)]
    [told] = loaded.notices
    assert "line 3: line 2 has the same process, which had ended well; left out" in told
    with open_run(path, plan(1, 2)) as opened:
        assert opened.notices == [told]


def test_of_many_bad_lines_a_few_are_told_and_the_rest_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "run", plan(1), line(measured()), *[b"{}"] * 50)
    notices = load_run(path).notices
    assert len(notices) == 6
    assert notices[-1] == f"{path}/measurements.jsonl: 45 more lines left out"


def test_a_run_of_which_nothing_can_be_taken_in_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "run", plan(1), altered("cell.steps", 7))
    with pytest.raises(BadInput, match=r"holds no measurements to be taken in \(line 1: its cell is not the one of"):
        load_run(path)


def test_a_line_has_a_longest_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 2_000)
    long = line(measured(2, notes={"a": "x" * 5_000}))
    path = write(tmp_path / "run", plan(1, 2), long, line(measured(1)), b"x" * 2_000)
    with (path / "measurements.jsonl").open("ab") as file:
        file.write(long)
    loaded = load_run(path)
    assert loaded.measurements == [measured(1)]
    assert "line 1: longer than the 2,000 bytes that a line may have" in loaded.notices[1]
    assert "line 3: damaged" in loaded.notices[2]
    assert "the last line is incomplete" in loaded.notices[3]
    with open_run(path, plan(1, 2)) as opened:
        assert opened.done() == {(cell(1).key, 0)}
    assert (path / "measurements.jsonl").read_bytes().endswith(b"x" * 2_000 + b"\n")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


@pytest.mark.parametrize("make", [pipe, zeros, Path.mkdir, listener])
@pytest.mark.parametrize("name", ["manifest.json", "measurements.jsonl"])
def test_what_is_no_file_is_not_read(
    tmp_path: Path, name: str, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "run", plan(1), line(measured()))
    (path / name).unlink()
    monkeypatch.chdir(path)
    make(path / name)
    for read in (load_run, lambda path: open_run(path, plan(1)).close()):
        with pytest.raises(BadInput) as caught:
            read(path)
        assert str(caught.value).endswith((f"{name}: not a file", f"cannot read {path}: No such device or address",
                                           f"cannot write to {path}: No such device or address"))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"repeats": 0}, "repeats: Input should be greater than or equal to 1"),
        ({"repeats": -3}, "repeats: Input should be greater than or equal to 1"),
        ({"repeats": 10**9}, "repeats: Input should be less than or equal to 1000"),
        ({"repeats": True}, "repeats: of another type"),
        ({"created_at": "yesterday"}, 'created_at: "yesterday" is not a time in UTC'),
        ({"schema_version": 0}, "schema_version: there is no schema 0"),
        ({"schema_version": "4"}, "schema_version: of another type"),
        ({"overhead_seconds_median": -1.0}, "overhead_seconds_median: Input should be greater"),
        ({"planned": [1]}, "planned.0: Input should be a valid string"),
        ({"machine": {**json.loads(MACHINE.model_dump_json()), "logical_cores": 0}}, "machine.logical_cores: Input"),
    ],
)
def test_a_bad_manifest_is_one_line(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    path = write(tmp_path / "run", plan(1), line(measured()))
    content = json.loads(plan(1).model_dump_json()) | changes
    (path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(BadInput) as caught:
        load_run(path)
    assert f"manifest.json: damaged ({why}" in str(caught.value)


def test_a_manifest_with_a_key_twice_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "run", plan(1), line(measured()))
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"repeats":1', '"repeats":2,"repeats":1'))
    with pytest.raises(BadInput, match=r"manifest\.json: damaged \(repeats: is there twice\)"):
        load_run(path)
    monkeypatch.setattr("harness.store.LARGEST_MANIFEST", 10)
    with pytest.raises(BadInput, match=r"manifest\.json: [\d,]+ bytes, of which it may have 10"):
        load_run(path)


def test_every_stored_run_is_taken_in_whole() -> None:
    stored_runs = [
        file.parent for folder in ("tests/runs", "reports") for file in (ROOT / folder).rglob("manifest.json")
    ]
    assert len(stored_runs) >= 9
    for path in stored_runs:
        loaded = load_run(path)
        assert not [notice for notice in loaded.notices if "left out" in notice], path
        assert len(loaded.processes) == len((path / "measurements.jsonl").read_text().splitlines())


# How much work it is


def test_every_line_is_parsed_once_and_to_go_on_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "run", plan(*range(1, 201)), *[line(measured(each)) for each in range(1, 201)])
    parsed: list[type] = []

    def counted(model: Any, text: bytes, *arguments: Any, **options: Any) -> Any:
        parsed.append(model)
        return versions.parsed(model, text, *arguments, **options)

    monkeypatch.setattr(lines, "parsed", counted)
    assert len(load_run(path).measurements) == 200
    assert parsed == [Measurement] * 200
    parsed.clear()
    with open_run(path, plan(*range(1, 201))) as opened:
        assert len(opened.done()) == 200
        assert not opened.ran_out_of_memory()
    assert parsed == []
