"""What is on disk: its published schemas, and runs as older versions left them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cell import METRICS, SCHEMA_VERSION, Cell, Measurement, Part, Status, Study
from harness.exports.schemas import FOLDER, file_names, main, published, schema
from harness.store import load_run
from tests.report.synthetic import run

ROOT = Path(__file__).parents[1]
STORED = sorted(file.parent for folder in ("tests/runs", "reports") for file in (ROOT / folder).rglob("manifest.json"))

FULL = Cell(
    problem=Part(name="linear", parameters={"dim": 50, "widths": [1, 2.5], "kappa": float("inf")}),
    estimator=Part(name="imaml-cg", parameters={"lr": "auto", "exact": True}),
    label="iMAML",
    steps=3,
    studies=(Study(title="one", label="iMAML"),),
)


def line(**changes: Any) -> Any:
    samples = {"wall_seconds": [0.1, float("nan"), float("inf"), float("-inf")], "aura": [1.0]}
    whole = Measurement(
        key=FULL.key, cell=FULL, status=Status.OK, started_at="now", metrics=samples, notes={"aura": "unknown"}
    )
    return json.loads(whole.model_dump_json()) | changes


def validator(name: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema(name))
    return jsonschema.Draft202012Validator(schema(name))


@pytest.mark.parametrize("name", file_names())
def test_the_published_schema_is_that_of_the_models(name: str) -> None:
    text = (FOLDER / file_names()[name]).read_text(encoding="utf-8")
    assert text == published(name), "run python -m harness.exports.schemas"


@pytest.mark.parametrize("name", file_names())
def test_a_schema_says_what_it_is(name: str) -> None:
    content = json.loads((FOLDER / file_names()[name]).read_text(encoding="utf-8"))
    assert file_names()[name] == f"{name}-v{SCHEMA_VERSION}.schema.json"
    assert content["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert content["$id"] == f"urn:imaml-bench:{name}:{SCHEMA_VERSION}"
    assert content["title"].endswith(f", version {SCHEMA_VERSION}")
    assert content["description"]
    assert content["properties"]["schema_version"]["maximum"] == SCHEMA_VERSION


def test_fields_and_metrics_are_described() -> None:
    content = schema("measurement")
    assert content["$defs"]["Cell"]["properties"]["steps"]["description"] == "K, inner steps."
    metrics = content["properties"]["metrics"]["properties"]
    assert list(metrics) == list(METRICS)
    assert metrics["peak_bytes"]["description"].endswith("; in B")


def test_the_command_writes_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.exports.schemas.FOLDER", tmp_path)
    main()
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        file: published(name) for name, file in file_names().items()
    }


def stored_lines() -> Iterator[tuple[str, Any]]:
    for folder in STORED:
        yield "manifest", json.loads((folder / "manifest.json").read_text())
        for text in (folder / "measurements.jsonl").read_text().splitlines():
            yield "measurement", json.loads(text)


def test_every_stored_run_follows_the_schemas() -> None:
    validators = {name: validator(name) for name in file_names()}
    assert len(STORED) >= 2
    errors = [error.message for name, content in stored_lines() for error in validators[name].iter_errors(content)]
    assert errors == []


def test_what_this_version_writes_follows_the_schemas() -> None:
    written = {"measurement": line(), "manifest": json.loads(run([]).manifest.model_dump_json())}
    errors = [error.message for name, content in written.items() for error in validator(name).iter_errors(content)]
    assert errors == []


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (line(novel=1), "novel"),
        (line(status="fine"), "fine"),
        (line(schema_version=SCHEMA_VERSION + 1), "maximum"),
        (line(metrics={"wall_seconds": ["0.1"]}), "0.1"),
        (line(metrics={"aura": 0.1}), "array"),
        ({key: value for key, value in line().items() if key != "key"}, "required"),
    ],
)
def test_what_no_version_writes_does_not(wrong: Any, where: str) -> None:
    [error] = validator("measurement").iter_errors(wrong)
    assert where in error.message


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_runs_of_every_older_version_still_read(version: int) -> None:
    folder = ROOT / "tests" / "runs" / f"schema{version}"
    loaded = load_run(folder)
    assert loaded.manifest.schema_version == version
    assert [each.schema_version for each in loaded.measurements] == [version] * 3
    stored = [json.loads(text) for text in (folder / "measurements.jsonl").read_text().splitlines()]
    for measurement, fields in zip(loaded.measurements, stored, strict=True):
        assert json.loads(measurement.model_dump_json(exclude_unset=True)) == fields


def test_runs_of_the_second_version_have_their_studies_and_the_defaults_of_what_came_later() -> None:
    loaded = load_run(ROOT / "tests" / "runs" / "schema2")
    assert [each.cell.label for each in loaded.measurements] == ["MAML", "iMAML, 2 CG steps", "MAML"]
    assert loaded.measurements[0].cell.studies == (
        Study(title="Error at equal inner steps", x="steps", label="MAML"),
        Study(title="Error at equal work", x="evaluations", label="MAML"),
    )
    assert {(each.repeat, len(each.notes)) for each in loaded.measurements} == {(0, 0)}
    assert loaded.manifest.repeats == 1
    assert any(re.match("4 of 7 planned", notice) for notice in loaded.notices)
