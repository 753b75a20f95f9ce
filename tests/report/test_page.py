import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from harness.cell import METRICS, Measurement, Status
from harness.report import write_report
from tests.report.synthetic import HOSTILE, MACHINE, curve, measurement, memory, run

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, whether they are balanced, and the text between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def page(cells: list[Measurement], out: Path, **about: Any) -> Page:
    return Page(write_report([run(cells, **about)], out).read_text())


def test_the_page_says_what_was_found_before_it_shows_it(tmp_path: Path) -> None:
    found = page(curve("MAML", "maml", (1, 2, 4), memory(26.4e6, 58e6)), tmp_path)
    sections = ["grows by 26.4 MB a step", "Figure 2b", "Measurements", "Machine", "How to reproduce", "How to read"]
    places = [found.text.index(section) for section in sections]
    assert places == sorted(places)
    assert found.open == []


def test_nothing_from_a_run_becomes_markup(tmp_path: Path) -> None:
    cells = [
        *curve(HOSTILE, "maml", (1, 2), memory(1e6, 1e6), problem={"name": HOSTILE, "parameters": {"a": HOSTILE}}),
        measurement(HOSTILE, 4, status=Status.CRASH, reason=HOSTILE, estimator=HOSTILE),
        measurement("odd", 4, metrics={"query_loss": [1.0], HOSTILE: [1.0]}),
    ]
    hostile = MACHINE.model_copy(update={"device_name": HOSTILE, "processor": HOSTILE, "system": HOSTILE})
    found = page(
        cells,
        tmp_path,
        path=f"runs/{HOSTILE.replace('/', '')}",
        notices=[HOSTILE],
        machine=hostile,
        command=["imaml-bench", HOSTILE],
        git_revision=HOSTILE,
        suite={"name": HOSTILE, "title": HOSTILE, "digest": HOSTILE},
    )
    assert "script" not in {tag for tag, _ in found.elements}
    assert not {name for _, attributes in found.elements for name in attributes if name.startswith("on")}
    assert found.text.count('<script>alert("x")</script>') >= 10
    assert found.open == []


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    found = page(curve("MAML", "maml", (1, 2), memory(1e6, 1e6)), tmp_path)
    sources = [attributes["src"] or "" for tag, attributes in found.elements if tag == "img"]
    assert len(sources) == 1
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    html = (tmp_path / "index.html").read_text()
    assert not re.search(r"https?://|url\(|@import|<link|<iframe", html)


def test_every_figure_is_described_in_words(tmp_path: Path) -> None:
    found = page(curve("MAML", "maml", (1, 2), memory(1e6, 1e6)), tmp_path)
    (alt,) = (attributes["alt"] or "" for tag, attributes in found.elements if tag == "img")
    assert "Peak memory" in alt
    assert "linear (dim=50)" in alt


def test_failures_are_listed_once_a_reason(tmp_path: Path) -> None:
    lost = [measurement("MAML", k, status=Status.OOM, reason="no memory left") for k in (64, 32)]
    found = page([*lost, measurement("MAML", 128, status=Status.TIMEOUT, reason="too slow")], tmp_path)
    section = " ".join(found.text.split("What failed, and why")[1].split("Measurements")[0].split())
    assert section == "estimatorKstatusreason MAML32, 64oomno memory left MAML128timeouttoo slow"


def test_nothing_failed_nothing_said(tmp_path: Path) -> None:
    assert "failed" not in page([measurement()], tmp_path).text


def test_notices_stand_at_the_top(tmp_path: Path) -> None:
    found = page([measurement()], tmp_path, notices=["12 of 35 planned cells have no measurement"])
    assert found.text.index("12 of 35 planned cells") < found.text.index("Findings")


def test_the_command_can_be_pasted(tmp_path: Path) -> None:
    command = ["imaml-bench", "run", "my suite.toml", "--out", "it's here"]
    found = page([measurement()], tmp_path, command=command)
    line = found.text.split("on the same kind of machine:")[1].strip().splitlines()[0]
    assert shlex.split(line) == command


def test_machine_and_software_are_told(tmp_path: Path) -> None:
    graphics = MACHINE.model_copy(
        update={"device_uuid": "GPU-1", "device_memory_bytes": 80_000_000_000, "driver": "550.1"}
    )
    found = page(
        [measurement()], tmp_path, machine=graphics, git_revision="abc123", git_dirty=True, overhead_seconds_median=0.25
    )
    for fact in ("GPU-1", "80 GB", "550.1", "2.13.0", "abc123 with uncommitted changes", "250 ms a cell"):
        assert fact in found.text
    assert "Driver" not in page([measurement()], tmp_path).text


def test_the_metrics_shown_are_explained_and_no_others(tmp_path: Path) -> None:
    found = page(curve("MAML", "maml", (1, 2), memory(1e6, 1e6)), tmp_path)
    assert METRICS["peak_bytes"].meaning in found.text
    assert METRICS["wall_seconds"].meaning not in found.text


def test_too_little_for_a_finding_is_said(tmp_path: Path) -> None:
    assert "Too little was measured for a finding." in page([measurement()], tmp_path).text
