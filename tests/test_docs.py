"""The reference in ``docs/`` says all there is."""

import re
from pathlib import Path
from typing import get_args

import pytest

from harness.cell import METRICS, Dtype, Pass, Reference
from harness.suite_files import suite_titles
from harness.suite_schema import EstimatorTable, GridTable, InnerTable, MeasureTable, StudyTable, SuiteTable
from harness.validation.causes.points import SEARCH_SIZE

DOCS = Path(__file__).parents[1] / "docs"


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def test_every_metric_is_listed_as_it_is() -> None:
    rows = [
        f"| `{name}` | {metric.unit} | {escaped(metric.meaning)} | {'yes' if metric.deterministic else ''} |"
        for name, metric in METRICS.items()
    ]
    listed = [line for line in (DOCS / "metrics.md").read_text().splitlines() if line.startswith("| `")]
    assert listed == rows


def test_every_key_of_a_suite_is_listed() -> None:
    text = (DOCS / "suites.md").read_text()
    tables = {"inner": InnerTable, "estimator": EstimatorTable, "grid": GridTable, "measure": MeasureTable}
    keys = {f"{name}.{key}" for name, table in tables.items() for key in table.model_fields}
    keys |= {"problem.name", "x", "study", "expect", "title", "description"}
    assert {*SuiteTable.model_fields, *StudyTable.model_fields} <= {key.partition(".")[0] for key in keys}
    values = {*get_args(Dtype), *get_args(Pass), *get_args(Reference), *suite_titles()}
    assert [each for each in sorted(keys | values) if f"`{each}`" not in text] == []


def test_every_kind_of_cause_is_listed() -> None:
    """Those that the code names outright, and the list names none that it does not have."""
    folder = DOCS.parent / "harness" / "validation"
    code = "\n".join(file.read_text() for file in sorted(folder.rglob("*.py")))
    rows = [line for line in (DOCS / "validation.md").read_text().splitlines() if line.startswith("| `")]
    listed = {kind for row in rows for kind in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert set(re.findall(r'Cause\(\s*"([a-z-]+)"', code)) <= listed
    assert [kind for kind in sorted(listed) if f'"{kind}"' not in code] == []


def test_the_size_up_to_which_causes_are_searched_is_the_codes() -> None:
    assert f"more than {SEARCH_SIZE:,} parameters" in (DOCS / "validation.md").read_text()


@pytest.mark.parametrize("key", ["min_samples", "min_seconds", "max_seconds", "precision", "time_limit_seconds"])
def test_defaults_are_those_of_the_code(key: str) -> None:
    text = (DOCS / "suites.md").read_text()
    [row] = [line for line in text.splitlines() if f"`measure.{key}`" in line]
    names = re.findall(r"`measure\.(\w+)`", row)
    told = row.rstrip(" |").rpartition("|")[2].split(",")
    assert float(told[names.index(key)]) == MeasureTable.model_fields[key].default


def test_every_fault_is_shown_by_tests_that_there_are() -> None:
    rows = [line for line in (DOCS / "faults.md").read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith("| fault |")]
    assert len(rows) > 20
    for row in rows:
        files = re.findall(r"`(tests/[\w/]+\.py)`", row.rsplit("|", 2)[1])
        assert files, row
        for file in files:
            assert "def test_" in (DOCS.parent / file).read_text(), file
