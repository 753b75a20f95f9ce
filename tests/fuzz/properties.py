"""What holds for any input: it is taken in and then serves every reader, or one line says what is wrong with it.

Each property is a test of Hypothesis, run by :mod:`tests.fuzz.test_fuzz`, and a target for a fuzzer that is guided by
the branches taken, run by :mod:`tests.fuzz.guided`.
"""

import json
import re
import time
import tomllib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.cell import SCHEMA_VERSION, Measurement, Status
from harness.compare import compare_runs
from harness.errors import LONGEST_LINE, BadInput
from harness.expectations import verdicts
from harness.exports import FORMATS, export
from harness.history import histories
from harness.lines import line
from harness.manifest import SuiteIdentity
from harness.report.page import render
from harness.report.settings import settings
from harness.report.style import styles
from harness.store import LoadedRun, load_run
from harness.suite import load_suite
from harness.suite_files import suite_folder
from harness.text import is_harmless
from tests.exports.hostile import LABELS
from tests.fuzz.hostile import WORDS, altered, spoilt, toml
from tests.report.synthetic import measurement, run

LONGEST_SECONDS = 1.0
"""Of the processor's time, for one input."""
GIVEN_BACK = ("csv", "samples-csv")
"""Formats that hold a text as it was given; they quote what a sheet would obey."""
RUNS = Path(__file__).parents[1] / "runs"
TEXTS = st.one_of(WORDS, st.sampled_from(LABELS), st.text(max_size=30))


@st.composite
def suites(draw: st.DrawFn) -> bytes:
    """A packaged suite, changed as a document or as a text."""
    text = draw(st.sampled_from(packaged()))
    if draw(st.booleans()):
        text = toml(draw(altered(tomllib.loads(text.decode())))).encode()
    return draw(spoilt(text))


@given(suites())
def a_suite_makes_cells_or_one_line(content: bytes) -> None:
    with answered(), TemporaryDirectory() as folder:
        path = Path(folder) / "suite.toml"
        path.write_bytes(content)
        for each in load_suite(path).cells("cpu", threads=1):
            assert each.key
            assert is_harmless(each.label)


@st.composite
def run_directories(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Manifest and measurements of a run, of any schema there has been; one or both of them changed."""
    manifest, documents = draw(st.sampled_from(stored_runs()))
    document: dict[str, Any] = json.loads(manifest)
    if draw(st.integers(0, 3)) == 0:
        document = draw(altered(document))
    documents = list(documents)
    for place in draw(st.sets(st.integers(0, len(documents) - 1), max_size=2)):
        documents[place] = draw(altered(documents[place]))
    texts = [json.dumps(each).encode() for each in documents]
    return draw(spoilt(json.dumps(document).encode())), draw(spoilt(b"\n".join([*texts, b""])))


@given(run_directories())
def a_run_serves_every_reader_or_one_line(directory: tuple[bytes, bytes]) -> None:
    with answered(), stored(*directory) as loaded:
        for found in loaded.processes:
            assert found.key in loaded.manifest.planned
            assert found.key == found.cell.key or found.schema_version < SCHEMA_VERSION
            assert found.metrics or found.status is not Status.OK
        for _ in read_by_all(loaded):
            pass


@given(label=TEXTS, title=TEXTS, reason=TEXTS, note=TEXTS, parameter=TEXTS)
def a_text_stays_a_text(label: str, title: str, reason: str, note: str, parameter: str) -> None:
    def cell(steps: int, **ended: Any) -> Measurement:
        problem = {"name": "linear", "parameters": {parameter or "p": parameter}}
        studies = [{"title": title or "t", "x": "steps", "label": label or "l"}]
        of = measurement(label or "l", steps, problem=problem, studies=studies, **ended)
        return of.model_copy(update={"notes": {"output": note}})

    metrics = {"wall_seconds": [0.04, 0.05], "peak_bytes": [8e6], "backprop_relative_error": [1e-6]}
    cells = [cell(1, metrics=metrics), cell(2, metrics=metrics), cell(3, status=Status.CRASH, reason=reason or "r")]
    manifest = run(cells, suite=SuiteIdentity(name="s", title=title or "t", digest="ab" * 32)).manifest
    lines = b"".join(line(each) + b"\n" for each in cells)
    with answered(), stored(manifest.model_dump_json().encode(), lines) as loaded:
        for name, text in read_by_all(loaded):
            if name == "page":
                assert elements(text) <= elements_of_the_template()
                assert "<script>alert" not in text
            elif not name.startswith(GIVEN_BACK):
                assert is_harmless(text), name


def warm_up() -> None:
    """Have everything imported, that the first input is not charged with it."""
    manifest, documents = stored_runs()[-1]
    with stored(manifest, b"".join(json.dumps(each).encode() + b"\n" for each in documents)) as loaded:
        assert dict(read_by_all(loaded)).keys() >= FORMATS.keys()


PROPERTIES = {
    "suites": a_suite_makes_cells_or_one_line,
    "runs": a_run_serves_every_reader_or_one_line,
    "labels": a_text_stays_a_text,
}


@contextmanager
def answered() -> Generator[None]:
    """The input is taken, or refused in one line; soon."""
    begun = time.thread_time()
    try:
        yield
    except BadInput as error:
        message = str(error)
        assert message
        assert "\n" not in message
        assert len(message) <= LONGEST_LINE
    seconds = time.thread_time() - begun
    assert seconds < LONGEST_SECONDS, f"{seconds:.1f} s"


@contextmanager
def stored(manifest: bytes, measurements: bytes) -> Generator[LoadedRun]:
    """A run directory of this content, read."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        path.mkdir()
        (path / "manifest.json").write_bytes(manifest)
        (path / "measurements.jsonl").write_bytes(measurements)
        yield load_run(path)


def read_by_all(loaded: LoadedRun) -> Iterator[tuple[str, str]]:
    """What the readers of a run make of it, figures aside."""
    for name, of in FORMATS.items():
        try:
            document = export([loaded], name)
        except BadInput as error:
            yield f"{name}, refused", str(error)
        else:
            yield name, "" if of.binary else document.content.decode()
    verdicts(loaded)
    compare_runs(loaded, loaded)
    histories([loaded, loaded])
    found = settings([loaded])
    yield "page", render([loaded], found, [], styles(found))


class Page(HTMLParser):
    """The names of a page's elements; none of them does anything when it is touched."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        assert all(name == "onload" or not name.startswith("on") for name, _ in attrs)


def elements(page: str) -> set[str]:
    parser = Page()
    parser.feed(page)
    return parser.elements


@cache
def elements_of_the_template() -> set[str]:
    return set(re.findall(r"<([a-z]\w*)", files("harness.report").joinpath("page.html.j2").read_text()))


@cache
def packaged() -> list[bytes]:
    return [path.read_bytes() for path in sorted(suite_folder().glob("*.toml"))]


@cache
def stored_runs() -> list[tuple[bytes, list[dict[str, Any]]]]:
    """Manifest and lines of a run of every schema there has been. Lines have no digest, which a change would break."""
    found: list[tuple[bytes, list[dict[str, Any]]]] = []
    for folder in sorted(RUNS.iterdir()):
        documents = [json.loads(line) for line in (folder / "measurements.jsonl").read_bytes().splitlines()]
        for document in documents:
            document.pop("digest", None)
        found.append(((folder / "manifest.json").read_bytes(), documents))
    return found
