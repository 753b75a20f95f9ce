import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.cell import Measurement
from harness.errors import BadInput
from harness.report import write_report
from harness.report.look import parameters
from harness.report.settings import settings
from harness.report.style import styles
from harness.report.timeline import MAX_FIGURES, MAX_PANELS, Groups, apart, compose, groups, outermost
from harness.timelines import TRACES, Phase, Timeline
from tests.report.synthetic import HOSTILE, measurement, run
from tests.report.test_page import Page

LEVELS = (0, 40_000_000, 10_000_000, 25_000_000, 0)
PHASES = (("inner", 0.0, 0.3), ("step", 0.0, 0.1), ("step", 0.1, 0.3), ("query", 0.3, 0.31), ("backward", 0.31, 0.4))


def traced(
    path: Path, cells: list[Measurement], levels: dict[str, tuple[int, ...]] | None = None, **about: Any
) -> list[Measurement]:
    """Write a timeline of each of the cells into the run at ``path``."""
    (path / TRACES).mkdir(parents=True, exist_ok=True)
    for m in cells:
        live_bytes = (levels or {}).get(m.cell.label, LEVELS)
        seconds = [0.4 * index / (len(live_bytes) - 1) for index in range(len(live_bytes))]
        Timeline.of(m.cell, seconds, live_bytes, about.get("phases", PHASES)).write(path / TRACES, m.key)
    return cells


def cells(labels: tuple[str, ...] = ("MAML", "iMAML"), steps: tuple[int, ...] = (4,), **cell: Any) -> list[Measurement]:
    names = {"MAML": "maml", "iMAML": "imaml-cg"}
    return [measurement(label, k, estimator=names.get(label, "fomaml"), **cell) for label in labels for k in steps]


def grouped(path: Path, measurements: list[Measurement]) -> Groups:
    a_run = run(measurements, path=str(path))
    return groups([a_run], settings([a_run]))


def composed(found: Groups) -> Figure:
    (group,) = found.drawn
    with style.context(parameters()):
        return compose(group, styles([group.setting]))


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_estimators_at_equal_k_stand_side_by_side_on_one_axis_of_bytes(tmp_path: Path) -> None:
    low = {"iMAML": (0, 3_000_000, 0)}
    figure = composed(grouped(tmp_path, traced(tmp_path, cells(), low)))
    maml, imaml = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["MAML", "iMAML"]
    assert maml.get_ylim() == imaml.get_ylim()
    assert maml.get_ylim()[1] > 40_000_000
    assert maml.get_ylabel() == "live memory (MB)"
    assert maml.get_xlabel() == "time (ms)"
    curve, peak = maml.get_lines()
    assert np.asarray(curve.get_ydata()).tolist() == list(LEVELS)
    assert (np.asarray(peak.get_xdata()).tolist(), np.asarray(peak.get_ydata()).tolist()) == ([0.1], [40_000_000])
    assert "40 MB" in texts(maml)
    assert "3 MB" in texts(imaml)


def test_phases_are_named_once_and_steps_only_ticked(tmp_path: Path) -> None:
    twice = (("inner", 0.0, 0.02), ("step", 0.0, 0.01), ("inner", 0.1, 0.2), ("query", 0.2, 0.21), ("inner", 0.21, 0.4))
    (axes,) = composed(grouped(tmp_path, traced(tmp_path, cells(("MAML",)), phases=twice))).axes
    assert sorted(texts(axes)) == ["40 MB", "inner", "query"]
    inner = next(text for text in axes.texts if text.get_text() == "inner")
    assert inner.xy[0] == pytest.approx(0.15 / 0.4)  # type: ignore[attr-defined]  # long enough, and most to the left


def test_bytes_below_the_baseline_are_drawn(tmp_path: Path) -> None:
    below = {"MAML": (0, -5_000_000, 10_000_000, 0)}
    (axes,) = composed(grouped(tmp_path, traced(tmp_path, cells(("MAML",)), below))).axes
    assert axes.get_ylim()[0] < -5_000_000


def test_a_cell_that_allocates_nothing_is_drawn(tmp_path: Path) -> None:
    (axes,) = composed(grouped(tmp_path, traced(tmp_path, cells(("MAML",)), {"MAML": (0, 0)}, phases=()))).axes
    assert texts(axes) == ["0 B"]


def test_the_caption_says_the_peaks_and_where_they_lie(tmp_path: Path) -> None:
    (group,) = grouped(tmp_path, traced(tmp_path, cells(), {"iMAML": (0, 0, 0, 3_000_000, 0)})).drawn
    assert group.title == "Memory over time, K = 4"
    assert group.caption.endswith("Peak: 40 MB for MAML (phase inner) and 3 MB for iMAML (phase query).")
    assert "begin inner steps" in group.caption
    (without,) = grouped(tmp_path, traced(tmp_path, cells(), phases=())).drawn
    assert "begin inner steps" not in without.caption
    assert without.caption.endswith("Peak: 40 MB for MAML and 40 MB for iMAML.")


def test_of_many_traced_cells_those_at_the_largest_k_are_drawn(tmp_path: Path) -> None:
    found = grouped(tmp_path, traced(tmp_path, cells(steps=(1, 2, 4, 8, 16, 32))))
    assert [group.steps for group in found.drawn] == [4, 8, 16, 32]
    assert found.left_out == 4
    assert found.note.startswith("8 of 12 traced cells are drawn")


def test_a_k_at_which_more_estimators_were_traced_comes_first(tmp_path: Path) -> None:
    both = cells(steps=tuple(range(1, MAX_FIGURES + 1)))
    found = grouped(tmp_path, traced(tmp_path, [*both, *cells(("iMAML",), (64,))]))
    assert [group.steps for group in found.drawn] == [1, 2, 3, 4]
    assert found.left_out == 1


def test_every_setting_has_its_best_figure_before_any_has_a_second(tmp_path: Path) -> None:
    several = [cell for dtype in ("float64", "float32", "bfloat16") for cell in cells(steps=(1, 2, 4), dtype=dtype)]
    found = grouped(tmp_path, traced(tmp_path, several))
    shown = [(group.setting.facts["dtype"], group.steps) for group in found.drawn]
    assert shown == [("float64", 2), ("float64", 4), ("float32", 4), ("bfloat16", 4)]


def test_a_figure_holds_so_many_estimators_and_no_more(tmp_path: Path) -> None:
    many = [measurement(f"variant {lr}", 4, parameters={"lr": lr}) for lr in range(1, MAX_PANELS + 3)]
    found = grouped(tmp_path, traced(tmp_path, many))
    assert len(composed(found).axes) == MAX_PANELS
    assert found.left_out == 2


def test_a_cell_of_several_studies_is_drawn_once(tmp_path: Path) -> None:
    studies = ({"title": "first", "label": "MAML"}, {"title": "second", "label": "MAML"})
    found = grouped(tmp_path, traced(tmp_path, cells(("MAML",), studies=studies)))
    assert [group.title for group in found.drawn] == ["first. Memory over time, K = 4"]
    assert found.note == ""


def test_a_cell_measured_repeatedly_is_drawn_once(tmp_path: Path) -> None:
    (first,) = traced(tmp_path, cells(("MAML",)))
    again = first.model_copy(update={"started_at": "2026-02-02T00:00:00Z"})
    (group,) = grouped(tmp_path, [first, again]).drawn
    assert len(group.traces) == 1


def test_a_timeline_of_a_cell_that_the_run_does_not_hold_is_left_alone(tmp_path: Path) -> None:
    traced(tmp_path, cells(("MAML",), (8,)))
    assert grouped(tmp_path, cells(("MAML",))) == Groups([], 0)


def test_in_a_study_over_a_parameter_its_value_is_in_the_title(tmp_path: Path) -> None:
    study = ({"title": "by CG steps", "x": "cg_steps", "label": "iMAML"},)
    over = [
        measurement("iMAML", 4, estimator="imaml-cg", parameters={"cg_steps": count}, studies=study) for count in (2, 5)
    ]
    found = grouped(tmp_path, traced(tmp_path, over))
    assert [axes.get_title() for axes in composed(found).axes] == ["iMAML, 2 CG steps", "iMAML, 5 CG steps"]


def test_the_report_has_the_figures_and_says_what_is_left_out(tmp_path: Path) -> None:
    measured = traced(tmp_path / "run", cells(steps=(1, 2, 4, 8, 16)))
    a_run = run(measured, path=str(tmp_path / "run"))
    page = Page(write_report([a_run], tmp_path / "out").read_text())
    assert "Memory over time" in page.text
    assert "8 of 10 traced cells are drawn" in page.text
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {f"timeline-k{k}.{ending}" for k in (2, 4, 8, 16) for ending in ("png", "svg")} <= names
    alts = [attributes["alt"] or "" for tag, attributes in page.elements if tag == "img"]
    assert len(alts) == 4
    assert "K = 16" in alts[-1]
    assert "Peak: 40 MB for MAML" in alts[-1]


def test_two_runs_of_the_same_cells_have_their_own_timelines(tmp_path: Path) -> None:
    runs = []
    for index, name in enumerate(("base", "head"), start=1):
        measured = traced(tmp_path / name, cells(("MAML",)), {"MAML": (0, index * 1_000_000, 0)})
        measured = [m.model_copy(update={"started_at": f"2026-01-0{index}T00:00:00Z"}) for m in measured]
        runs.append(run(measured, path=str(tmp_path / name)))
    found = groups(runs, settings(runs))
    assert [group.traces[0].timeline.peak_bytes for group in found.drawn] == [1_000_000, 2_000_000]
    write_report(runs, tmp_path / "out")
    assert {"timeline-k4-run-base.png", "timeline-k4-run-head.png"} <= {p.name for p in (tmp_path / "out").iterdir()}


def test_without_traces_nothing_is_said(tmp_path: Path) -> None:
    a_run = run(cells(), path=str(tmp_path / "run"))
    assert "Memory over time" not in write_report([a_run], tmp_path / "out").read_text()


def test_nothing_from_a_timeline_becomes_markup(tmp_path: Path) -> None:
    phases = ((HOSTILE, 0.0, 0.4),)
    a_run = run(traced(tmp_path / "run", cells((HOSTILE,)), phases=phases), path=str(tmp_path / "run"))
    page = Page(write_report([a_run], tmp_path / "out").read_text())
    harmless = run(traced(tmp_path / "harmless", cells(("MAML",))), path=str(tmp_path / "harmless"))
    expected = Page(write_report([harmless], tmp_path / "other").read_text())
    assert [tag for tag, _ in page.elements].count("script") == [tag for tag, _ in expected.elements].count("script")
    assert page.open == []
    assert b"<script" not in (tmp_path / "out" / "timeline-k4.svg").read_bytes()


def test_a_damaged_timeline_stops_the_report_before_anything_is_written(tmp_path: Path) -> None:
    a_run = run(traced(tmp_path / "run", cells(("MAML",))), path=str(tmp_path / "run"))
    (tmp_path / "run" / TRACES / "bad.timeline.json").write_text("{")
    with pytest.raises(BadInput, match=r"bad\.timeline\.json: damaged"):
        write_report([a_run], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_figures_are_the_same_to_the_byte_and_need_no_torch(tmp_path: Path) -> None:
    traced(tmp_path, cells())
    program = (
        "import sys\n"
        "from pathlib import Path; from hashlib import sha256\n"
        "from harness.report.settings import settings; from harness.report.style import styles\n"
        "from harness.report.timeline import draw, groups\n"
        "from tests.report.synthetic import measurement, run\n"
        "cells = [measurement('MAML', 4), measurement('iMAML', 4, estimator='imaml-cg')]\n"
        "a_run = run(cells, path=sys.argv[1]); found = settings([a_run])\n"
        "[group] = groups([a_run], found).drawn\n"
        "print([sha256(content).hexdigest() for content in draw(group, styles(found)).values()])\n"
        "assert 'torch' not in sys.modules\n"
    )
    root = Path(__file__).parents[2]
    arguments = [sys.executable, "-W", "error", "-c", program, str(tmp_path)]
    outputs = [subprocess.run(arguments, check=True, cwd=root, capture_output=True).stdout for _ in range(2)]
    assert outputs[0] == outputs[1] != b"[]\n"


def test_outermost_phases_hold_no_steps() -> None:
    spans = [("step", 0, 1), ("inner", 1, 5), ("step", 1, 2), ("query", 2, 3), ("linear", 5, 6), ("again", 7, 8)]
    phases = [Phase(name=name, start_seconds=start, end_seconds=end) for name, start, end in spans]
    assert [phase.name for phase in outermost(phases)] == ["inner", "linear", "again"]


@pytest.mark.parametrize(
    ("centres", "places"),
    [
        ([0.2, 0.5, 0.8], [0.2, 0.5, 0.8]),
        ([0.5, 0.5], [0.5, 0.7]),
        ([0.0, 0.9], [0.1, 0.9]),
        ([0.98, 0.99, 1.0], [0.5, 0.7, 0.9]),
    ],
)
def test_labels_stand_apart_and_within(centres: list[float], places: list[float]) -> None:
    assert apart(centres, [0.2] * len(centres)) == pytest.approx(places)
