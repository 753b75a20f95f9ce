"""A suite of any size is answered at once: measured, or refused before it is built."""

import json
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.checks import LARGEST, LONGEST_SECONDS, LONGEST_TEXT, MOST, MOST_CELLS
from harness.errors import BadInput
from harness.suite import load_suite
from harness.suite_schema import DEEPEST, LARGEST_FILE

SUITE = """
title = "Small"
[problem]
name = "linear"
dim = 50
[inner]
lam = 0.1
[[estimator]]
name = "maml"
[[estimator]]
name = "imaml-cg"
cg_steps = [2, 5]
[grid]
steps = [1, 2]
[measure]
passes = ["memory"]
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def complaint(text: str) -> str:
    Path("small.toml").write_text(text, encoding="utf-8")
    begun = time.perf_counter()
    with pytest.raises(BadInput) as caught:
        load_suite("small.toml")
    assert time.perf_counter() - begun < 20  # a tenth of a second on an idle machine
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message.removeprefix("small.toml: ")


def changed(old: str, new: str) -> str:
    assert old in SUITE
    return complaint(SUITE.replace(old, new, 1))


def numbers(count: int) -> str:
    return f"[{', '.join(map(str, range(1, count + 1)))}]"


def test_cells_are_counted_before_they_are_made() -> None:
    axes = "\n".join(f"p{index} = {numbers(10)}" for index in range(9))
    assert changed("dim = 50", axes) == (
        "6,000,000,000 cells, of which a suite may have 100,000; the largest axis is problem.p0 with 10 values"
    )
    endless = "\n".join(f"p{index} = {numbers(10)}" for index in range(1000))
    assert changed("dim = 50", endless).startswith("more than 10^1000 cells, of which a suite may have 100,000")


@pytest.mark.parametrize(
    ("old", "new", "largest"),
    [
        ("[1, 2]", numbers(40_000), "grid.steps with 40,000"),
        ("[1, 2]", f"{{ cpu = [1], cuda = {numbers(40_000)} }}", "grid.steps with 40,000"),
        ("[2, 5]", numbers(60_000), "estimator[1].cg_steps with 60,000"),
        ("lam = 0.1", f"lam = {numbers(20_000)}", "inner.lam with 20,000"),
        ("dim = 50", f"dim = {numbers(20_000)}", "problem.dim with 20,000"),
    ],
)
def test_the_largest_axis_is_named(old: str, new: str, largest: str) -> None:
    assert changed(old, new).endswith(f"the largest axis is {largest} values")


def test_a_suite_of_as_many_cells_as_there_may_be_is_read() -> None:
    Path("large.toml").write_text(SUITE.replace("[1, 2]", numbers(MOST_CELLS // 3)))
    suite = load_suite("large.toml")
    assert sum(study.count("cpu", None) for study in suite.studies) == MOST_CELLS // 3 * 3
    with pytest.raises(BadInput, match=r"120,000 cells, .* choose fewer inner steps"):
        suite.cells("cpu", 1, range(1, 40_001))


def test_long_lists_take_time_in_proportion() -> None:
    """Ten thousand values, and as many estimators of one label but for what is drawn over."""
    text = 'x = "cg_steps"\n' + SUITE.replace("[2, 5]", numbers(10_000))
    Path("long.toml").write_text(text)
    begun = time.perf_counter()
    assert len(load_suite("long.toml").studies[0].configurations) == 10_001
    assert time.perf_counter() - begun < 20  # 0.2 s on an idle machine; a minute where it goes by the square
    assert changed("[2, 5]", f"[{numbers(9_999)[1:-1]}, 1]").startswith("estimator[1].cg_steps: 1 is there twice")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[1, 2]", f"[1, {MOST + 1}]", f"grid.steps: 1000001 is more than {MOST:,}"),
        ("[grid]", f"[grid]\ntasks = {10**18}", "grid.tasks: 1000000000000000000 is more than"),
        ("[grid]", f"[grid]\ndraws = {10**18}", "grid.draws: 1000000000000000000 is more than"),
        ("[grid]", f"[grid]\nseed = {LARGEST + 1}", "grid.seed: 2147483648 is not at most 2,147,483,647"),
        ("[measure]", f"[measure]\nmin_samples = {10**18}", "measure.min_samples: 1000000000000000000 is more"),
        ("[measure]", "[measure]\nmin_seconds = 1e18", "measure.min_seconds: 1e+18 is not at most 604,800"),
        ("[measure]", f"[measure]\nmax_seconds = {LONGEST_SECONDS * 2}", "measure.max_seconds: 1209600.0 is not at"),
        ("[measure]", "[measure]\ntime_limit_seconds = 1e9", "measure.time_limit_seconds: 1000000000.0 is not at most"),
        ("[measure]", "[measure]\nprecision = 2.0", "measure.precision: 2.0 is not at most 1"),
        ("dim = 50", f"dim = {10**18}", "problem.dim: 1000000000000000000 is a larger whole number than 2,147,483,647"),
        ("dim = 50", f"dim = -{10**400}", "problem.dim: -1000"),
        ("dim = 50", f"dim = 0x{'f' * 9000}", "problem.dim: a number of thousands of digits is a larger whole"),
        ("dim = 50", f"dim = {'9' * 9000}", "a number has more digits than can be read"),
        ("dim = 50", f"source = '{'x' * 5000}'", 'problem.source: "xxx'),
        ("[2, 5]", f"[2, 5, {10**18}]", "estimator[1].cg_steps: 1000000000000000000 is a larger"),
        ("[2, 5]", f"5\nlabel = '{'x' * 201}'", "estimator[1].label: \"xxx"),
        ("[2, 5]", f"5\nnote = '{'x' * 300}'\nlabel = '{{note}}'", "estimator[1].label: \"xxx"),
        ('"Small"', f'"{"x" * (LONGEST_TEXT + 1)}"', 'title: "xxx'),
        ("[problem]", f"description = '{'x' * 10_001}'\n[problem]", 'description: "xxx'),
        ("[problem]", f"{'x' * 9000} = 1\n[problem]", "the key xxx"),
    ],
)  # fmt: skip
def test_every_number_and_text_has_a_bound(old: str, new: str, why: str) -> None:
    assert changed(old, new).startswith(why)


@pytest.mark.parametrize(
    "deep",
    [
        f"dim = {'[' * 3000}{']' * 3000}",
        f"dim = {'{a=' * 3000}1{'}' * 3000}",
        f"dim.{'a.' * 200_000}b = 1",
        f"dim.{'a.' * 50}b = 1",
        "dim." + "'a' . \"a\" . " * 50_000 + "b = 1",
        f"dim = {'[' * DEEPEST}{']' * DEEPEST}",
    ],
    ids=["lists", "tables", "dotted", "dotted, and soon parsed", "dotted and quoted", "as deep as is refused"],
)
def test_what_is_nested_deep_is_one_line(deep: str) -> None:
    assert changed("dim = 50", deep) == f"lists or tables lie more than {DEEPEST} deep within one another"


def test_files_and_tables_have_bounds() -> None:
    assert complaint("#" * (LARGEST_FILE + 1)) == "larger than a suite can be (1,000,000 bytes)"
    assert complaint(SUITE + "[[study]]\n" * 1001) == "study: 1,001 tables, of which there may be 1,000"
    assert complaint(SUITE + "[[expect]]\n" * 501) == "expect: 501 tables, of which there may be 500"
    estimators = '[[estimator]]\nname = "maml"\n' * 100 + "[[study]]\n" * 100
    assert complaint(SUITE + estimators).startswith("estimator: 10,200 tables of all studies together")


KEYS = st.sampled_from([
    "title", "description", "study", "expect", "problem", "inner", "estimator", "grid", "measure", "name", "label",
    "lam", "lr", "x", "steps", "tasks", "dtype", "seed", "draws", "passes", "references", "min_samples", "max_seconds",
    "precision", "cpu", "cuda", "metric", "max", "min", "at", "ratio_to", "status", "law", "slope", "claim",
])  # fmt: skip
VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["maml", "linear", "gd", 10**30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@contextmanager
def suppress_refusal() -> Generator[list[str]]:
    """The messages of the refusals within the block."""
    messages: list[str] = []
    try:
        yield messages
    except BadInput as error:
        messages.append(str(error))


def toml(value: Any) -> str:
    """An inline value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.dictionaries(KEYS, VALUES, max_size=2), KEYS)
def test_any_suite_is_read_or_refused_in_one_line(top: dict[str, Any], inside: dict[str, Any], table: str) -> None:
    good = {
        "title": "t",
        "problem": {"name": "linear"},
        "estimator": [{"name": "maml"}],
        "grid": {"steps": [1]},
        **top,
    }
    if isinstance(good.get(table), dict):
        good[table] = {**good[table], **inside}  # pyright: ignore[reportGeneralTypeIssues]
    Path("any.toml").write_text("\n".join(f"{key} = {toml(value)}" for key, value in good.items()), encoding="utf-8")
    with suppress_refusal() as message:
        load_suite("any.toml")
    assert all(re.fullmatch(r"any\.toml: [^\n]+", each) for each in message)
