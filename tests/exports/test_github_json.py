import json
import math
from typing import Any

import pytest

from harness.cell import Measurement, Status
from harness.exports import HEADLINE, export
from harness.exports.document import Document
from tests.exports.hostile import LABELS
from tests.report.synthetic import measurement, run

TIMED = measurement(
    "iMAML", 4, metrics={"wall_seconds": [0.3, 0.1, 0.2], "peak_bytes": [77e6], "flops": [5.0], "hvp_count": [2.0]}
)


def exported(*cells: Measurement) -> Document:
    return export([run(cells)], "github-action-benchmark")


def entries(document: Document) -> list[dict[str, Any]]:
    return json.loads(document.content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_an_entry_is_a_metric_of_a_cell() -> None:
    first, *others = entries(exported(TIMED))
    assert first == {
        "name": "fig2b: iMAML, K = 4, wall_seconds; linear (dim=50), 1 task, float32, cpu, 1 thread, seed 0",
        "unit": "s",
        "value": 0.2,
        "range": "0.15 to 0.25",
        "extra": "median of 3, quartiles",
    }
    assert [(each["unit"], each["value"], each["extra"]) for each in others] == [
        ("B", 77e6, "one sample"),
        ("FLOP", 5.0, "one sample"),
    ]
    assert all("range" not in each for each in others)


def test_a_metric_is_in_one_unit_whatever_its_size() -> None:
    cells = [measurement(steps=k, metrics={"peak_bytes": [10.0**k]}) for k in (1, 6, 12)]
    assert [(each["unit"], each["value"]) for each in entries(exported(*cells))] == [
        ("B", 1e1),
        ("B", 1e6),
        ("B", 1e12),
    ]


def test_the_headline_metrics_are_held_unless_others_are_asked_for() -> None:
    every = measurement(metrics={name: [1.0] for name in (*HEADLINE, "hvp_count")})
    assert len(entries(exported(every))) == len(HEADLINE)
    [entry] = entries(export([run([every])], "github-action-benchmark", ["hvp_count"]))
    assert ", hvp_count; " in entry["name"]


def test_errors_of_rounding_alone_do_not_differ() -> None:
    cells = [
        measurement(steps=k, metrics={"backprop_relative_error": [e]}) for k, e in enumerate([1e-17, 3e-16, 1e-3], 1)
    ]
    assert [each["value"] for each in entries(exported(*cells))] == [1e-12, 1e-12, 1e-3]


def test_failed_cells_and_values_not_finite_are_left_out_and_told() -> None:
    failed = measurement(steps=2, status=Status.TIMEOUT, metrics={"flops": [1.0]})
    odd = measurement(steps=3, metrics={"flops": [math.inf], "implicit_relative_error": [math.nan]})
    document = exported(TIMED, failed, odd)
    assert len(entries(document)) == 3
    assert document.notices == ["1 of 3 cells left out: 1 timeout", "2 of 5 values left out: 2 not finite"]


@pytest.mark.parametrize("label", LABELS)
def test_a_name_stays_within_its_code_span_and_its_column(label: str) -> None:
    document = exported(measurement(label, metrics={"flops": [1.0]}))
    [entry] = entries(document)
    assert not set("`|") & set(entry["name"])
    assert entry["name"].isprintable()
    assert b"<" not in document.content
    assert document.content.isascii()


def test_names_are_unlike_each_other() -> None:
    cells = [measurement("a", 1, metrics={"flops": [1.0], "peak_bytes": [1.0]}, seed=seed) for seed in (0, 1)]
    names = [each["name"] for each in entries(exported(*cells))]
    assert len(set(names)) == len(names) == 4
