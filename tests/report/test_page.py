import json
import re
import shlex
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.cell import METRICS, Measurement, Status
from harness.expectation import Bounds, Expectation
from harness.report import write_report
from tests.report.synthetic import HOSTILE, MACHINE, curve, measurement, memory, run

SCRIPTS = 4
"""The data, two libraries and what hands the one to the other."""
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, whether they are balanced, and the text between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.headings: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


def page(cells: list[Measurement], out: Path, **about: Any) -> Page:
    return Page(write_report([run(cells, **about)], out).read_text())


def test_the_page_says_what_was_found_before_it_shows_it(tmp_path: Path) -> None:
    found = page(curve("MAML", "maml", (1, 2, 4), memory(26.4e6, 58e6)), tmp_path)
    assert found.text.index("grows by 26.4 MB a step") < found.text.index("What was checked")
    assert found.headings == [
        *("Verdict", "Figures", "Explore", "Findings", "Scaling laws in K", "Measurements", "Machine and software"),
        *("How to reproduce", "How to read the numbers"),
    ]
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
    assert sum(tag == "script" for tag, _ in found.elements) == SCRIPTS
    assert not {name for _, attributes in found.elements for name in attributes if name.startswith("on")}
    assert found.text.count('<script>alert("x")</script>') >= 10
    assert found.open == []


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    found = page(curve("MAML", "maml", (1, 2), memory(1e6, 1e6)), tmp_path)
    sources = [attributes["src"] or "" for tag, attributes in found.elements if tag == "img"]
    assert len(sources) == 1
    assert all(source.startswith(("data:image/svg+xml,", "data:image/png;base64,")) for source in sources)
    own = re.sub(
        r"<script>.*?</script>|src=\"data:[^\"]*\"", "", (tmp_path / "index.html").read_text(), flags=re.DOTALL
    )
    assert not re.search(r"https?://|url\(|@import|<link(?! rel=\"icon\" href=\"data:,\")|<iframe", own)


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


def test_what_the_page_says_of_a_chart_is_what_its_data_hold(tmp_path: Path) -> None:
    found = page(curve("MAML", "maml", (1, 2, 4), memory(1e6, 1e6)), tmp_path)
    (plot,) = (attributes for _, attributes in found.elements if "data-chart" in attributes)
    assert plot["aria-label"] == (
        "Interactive chart: Peak memory (MB), linear (dim=50), 1 task, float32, cpu (Some CPU), 1 thread. "
        "The tables hold its numbers."
    )
    html = (tmp_path / "index.html").read_text()
    [[traces, _]] = json.loads(html.split('<script type="application/json" id="charts">')[1].split("</script>")[0])
    assert traces[0]["y"] == [2.0, 3.0, 5.0]
    boxes = [attributes["data-traces"] for _, attributes in found.elements if "data-traces" in attributes]
    assert boxes == ["[0]"]


def test_no_script_runs_but_those_the_page_came_with(tmp_path: Path) -> None:
    found = page([measurement()], tmp_path)
    (policy,) = (a["content"] or "" for _, a in found.elements if a.get("http-equiv") == "Content-Security-Policy")
    html = (tmp_path / "index.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(scripts) == SCRIPTS - 1
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert f"default-src 'none'; script-src {' '.join(hashes)}; style-src" in policy


def test_claims_of_the_suite_are_shown_with_what_was_found(tmp_path: Path) -> None:
    claim = Expectation(claim="MAML stays small", metric="peak_bytes", value=Bounds(max=1e6))
    found = page(curve("MAML", "maml", (1, 2), memory(1e6, 1e6)), tmp_path, expectations=(claim,))
    assert "Claims of the suite, bad: 0 of 1 claim holds, 1 fails." in found.text
    assert "MAML stays small" in found.text
    assert "Claims of the suite;" in page([measurement()], tmp_path).text


def test_figures_that_would_make_the_page_too_large_are_left_to_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = curve("MAML", "maml", (1, 2), memory(1e6, 1e6))
    whole = len((write_report([run(cells)], tmp_path)).read_bytes())
    monkeypatch.setattr("harness.report.page.SIZE", whole - 1)
    found = page(cells, tmp_path)
    assert "img" not in {tag for tag, _ in found.elements}
    assert "figure2b.png: left out here to keep the page small." in " ".join(found.text.split())
    assert (tmp_path / "index.html").stat().st_size < whole


def test_a_thousand_cells_make_a_page_of_three_megabytes(tmp_path: Path) -> None:
    cells = [
        cell
        for ways in range(2, 6)
        for label, estimator in (("MAML", "maml"), ("replay", "maml-replay"), ("FO", "fomaml"), ("5 CG", "imaml-cg"),
                                 ("dense", "imaml-dense"))
        for cell in curve(
            label, estimator, range(1, 51), numbers, problem={"name": "conv4", "parameters": {"ways": ways}},
            references=("backprop",),
        )
    ]  # fmt: skip
    assert len(cells) == 1000
    written = write_report([run(cells)], tmp_path)
    assert written.stat().st_size <= 3_000_000
    assert "left out to keep the page small; the tables have their numbers" in written.read_text()


def numbers(k: int) -> dict[str, list[float]]:
    """What a real cell holds, about."""
    times = [0.01 * k + 0.0001 * (place % 7) for place in range(30)]
    counted = {"flops": [1e9 * k], "gradient_count": [float(k)], "hvp_count": [float(k)], "query_loss": [1 / k]}
    return {
        **{"wall_seconds": times, "peak_bytes": [5e6 + 1.5e6 * k], "forecast_peak_bytes": [5e6 + 1.5e6 * k]},
        **{"backprop_relative_error": [0.3 / k, 0.2 / k, 0.1 / k], "inner_residual": [0.5 / k]},
        **{"rss_peak_bytes": [1e8], "backprop_cosine": [1 - 0.01 / k], "backprop_norm_ratio": [1 + 0.01 / k]},
        **counted,
    }


def test_environment_variables_are_shown_as_they_are_called(tmp_path: Path) -> None:
    found = page([measurement()], tmp_path, environment={"GOMP_SPINCOUNT": "0", "OMP_PROC_BIND": "true"})
    assert "GOMP_SPINCOUNT 0; OMP_PROC_BIND true" in found.text
