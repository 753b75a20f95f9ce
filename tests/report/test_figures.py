import warnings
from itertools import combinations
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.cell import Measurement, Status
from harness.report.figures import FORMATS, compose, draw, draw_all
from harness.report.kinds import (
    COST,
    ERROR,
    FIGURE_2A,
    FIGURE_2B,
    OF_STUDIES,
    OF_THE_PAPER,
    ROUNDING,
    VALIDITY,
    Kind,
    caption,
    panels,
)
from harness.report.legend import STATUS_MARKERS
from harness.report.look import LOOKS, Look, parameters
from harness.report.settings import Setting, settings
from harness.report.style import contrast, styles
from harness.text import shortened
from tests.report.synthetic import HOSTILE, MACHINE, curve, measurement, memory, run

STEPS = (1, 2, 4, 8)


def setting_of(cells: list[Measurement]) -> Setting:
    (found,) = settings([run(cells)])
    return found


def composed(kind: Kind, cells: list[Measurement]) -> Figure:
    setting = setting_of(cells)
    with style.context(parameters()):
        return compose(kind, setting, styles([setting]))


def drawn(kind: Kind, cells: list[Measurement]) -> dict[str, bytes]:
    setting = setting_of(cells)
    return draw(kind, setting, styles([setting]))


def lines_through(axes: Axes, steps: tuple[int, ...]) -> list[Line2D]:
    return [line for line in axes.get_lines() if tuple(np.asarray(line.get_xdata())) == steps]


def heights(line: Line2D) -> list[float]:
    return np.asarray(line.get_ydata()).tolist()


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


def names_at_ends(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def errors(k: int) -> dict[str, list[float]]:
    return {"backprop_relative_error": [0.0] * 3, "implicit_relative_error": [0.1 / k, 0.2 / k, 0.4 / k]}


ACCURACY = {"measure": ("accuracy",), "references": ("backprop", "implicit"), "draws": 3}


def test_a_panel_is_drawn_where_there_is_a_number_for_it() -> None:
    memory_only = setting_of(curve("MAML", "maml", STEPS, memory(26.4e6, 58e6)))
    assert panels(FIGURE_2A, memory_only) == []
    assert [panel.metric for panel in panels(FIGURE_2B, memory_only)] == ["peak_bytes"]
    failed = setting_of([measurement(status=Status.OOM, metrics={"peak_bytes": [1.0]})])
    assert panels(FIGURE_2B, failed) == []


def test_figure_2a_has_a_panel_a_reference() -> None:
    figure = composed(FIGURE_2A, curve("MAML", "maml", STEPS, errors, **ACCURACY))
    assert [" ".join(axes.get_title().split()) for axes in figure.axes] == [
        "against exact backprop through the same K steps",
        "against the exact implicit gradient",
    ]
    assert figure.axes[0].get_ylabel() == "relative error"


def test_curves_are_medians_with_a_band_between_the_quartiles() -> None:
    axes = composed(FIGURE_2A, curve("MAML", "maml", STEPS, errors, **ACCURACY)).axes[1]
    (line,) = lines_through(axes, STEPS)
    assert heights(line) == pytest.approx([0.2 / k for k in STEPS])
    (band,) = axes.collections
    at_one = [y for x, y in np.asarray(band.get_paths()[0].vertices).tolist() if x == 1]
    assert (min(at_one), max(at_one)) == pytest.approx((0.15, 0.3))


def test_exact_gradients_are_drawn_on_a_line_that_says_so() -> None:
    axes = composed(FIGURE_2A, curve("MAML", "maml", STEPS, errors, **ACCURACY)).axes[0]
    (line,) = lines_through(axes, STEPS)
    labels = dict(zip(axes.get_yticks(), (text.get_text() for text in axes.get_yticklabels()), strict=True))
    assert {labels[place] for place in heights(line)} == {"exact (0)"}


def test_a_failed_cell_is_marked_in_the_curve_s_colour_above_every_curve() -> None:
    cells = [
        *curve("MAML", "maml", STEPS, memory(264e6, 58e6)),
        measurement("MAML", 16, status=Status.CRASH),
        *curve("CG", "imaml-cg", (*STEPS, 16), memory(0, 77e6)),
        measurement("CG", 32, estimator="imaml-cg", status=Status.TIMEOUT),
    ]
    figure = composed(FIGURE_2B, cells)
    (axes,) = figure.axes
    (maml,), (crash,), (timeout,) = (lines_through(axes, steps) for steps in (STEPS, (16,), (32,)))
    assert crash.get_color() == maml.get_color() != timeout.get_color()
    assert (crash.get_marker(), timeout.get_marker()) == ("X", "+")
    top = 58e6 + 8 * 264e6
    share_of_axis = axes.transAxes.inverted().transform(axes.transData.transform((8, top)))[1]
    assert share_of_axis < heights(timeout)[0] < heights(crash)[0] < 1
    assert legend(figure) == ["MAML", "CG", "time limit", "crash"]
    assert axes.get_xlim()[1] > 32


def test_an_estimator_that_only_failed_is_in_the_legend() -> None:
    cells = [*curve("MAML", "maml", STEPS, memory(1e6, 1e6)), measurement("lost", estimator="x", status=Status.SKIPPED)]
    assert legend(composed(FIGURE_2B, cells)) == ["MAML", "lost", "skipped"]


def test_every_failure_has_a_mark() -> None:
    assert set(STATUS_MARKERS) == set(Status) - {Status.OK}
    assert len({marker for marker, _ in STATUS_MARKERS.values()}) == len(STATUS_MARKERS)


def test_curves_that_coincide_all_show() -> None:
    cells = [
        cell
        for cg in (2, 5, 10, 20)
        for cell in curve(f"CG {cg}", "imaml-cg", STEPS, memory(0, 77e6), parameters={"cg_steps": cg})
    ]
    axes = composed(FIGURE_2B, cells).axes[0]
    from_below = sorted(lines_through(axes, STEPS), key=lambda line: line.get_zorder())
    sizes = [float(line.get_markersize()) for line in from_below]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_a_label_is_shown_as_it_is() -> None:
    cells = curve(HOSTILE, "maml", STEPS, memory(1e6, 1e6))
    assert legend(composed(FIGURE_2B, cells))[0] == shortened(HOSTILE, 48)
    short = composed(FIGURE_2B, curve("_$\\frac$ &", "maml", STEPS, memory(1e6, 1e6)))
    assert names_at_ends(short.axes[0]) == ["_$\\frac$ &"]
    assert b"<script" not in drawn(FIGURE_2B, cells)["svg"]


def test_long_labels_are_cut_in_the_middle() -> None:
    assert shortened("a" * 50 + "b" * 50, 11) == "aaaaa…bbbbb"
    assert shortened("a\x00b\nc", 11) == "a b c"


def test_letters_the_font_lacks_do_not_disturb() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drawn(FIGURE_2B, curve("模型", "maml", STEPS, memory(1e6, 1e6)))["png"]


def test_a_single_number_makes_a_figure() -> None:
    figure = composed(FIGURE_2B, [measurement(steps=4, metrics={"wall_seconds": [0.1, 0.2, 0.3]})])
    assert len(lines_through(figure.axes[0], (4,))) == 1


def test_drawing_again_gives_the_same_bytes_and_leaves_matplotlib_as_it_was() -> None:
    cells = curve("MAML", "maml", STEPS, errors, **ACCURACY)
    before = dict(mpl.rcParams)
    first = drawn(FIGURE_2A, cells)
    with mpl.rc_context({"savefig.facecolor": "red", "axes.titlepad": 30}):
        assert drawn(FIGURE_2A, cells) == first
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []
    assert first["png"].startswith(b"\x89PNG")
    assert b"<svg" in first["svg"]
    assert b"<text" not in first["svg"]  # the reader may lack the font


def study(x: str = "steps") -> dict[str, Any]:
    return {
        "studies": ({"title": "A", "x": x, "label": "CG"},),
        "parameters": {"lam": 0.1, "lr": "auto", "inner": "gd"},
    }


def test_a_study_over_a_parameter_has_its_axis() -> None:
    cells = [
        cell
        for cg in (2, 5, 20)
        for cell in curve(
            "CG", "imaml-cg", (9,), lambda k, cg=cg: {"implicit_relative_error": [1 / cg]},
            **study("cg_steps") | {"parameters": {"lam": 0.1, "cg_steps": cg}},
        )
    ]  # fmt: skip
    (axes,) = composed(ERROR, cells).axes
    assert axes.get_xlabel() == "CG steps"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "5", "20"]
    (line,) = lines_through(axes, (2, 5, 20))
    assert heights(line) == pytest.approx([1 / 2, 1 / 5, 1 / 20])


def test_theory_is_drawn_dashed_over_the_measured_curves_of_studies_alone() -> None:
    def cells(**about: Any) -> list[Measurement]:
        return curve("CG", "imaml-cg", (1, 100), errors, **study() | about)

    figure = composed(ERROR, cells())
    axes = figure.axes[1]
    (law,) = [line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) > 20]
    assert law.is_dashed()
    assert heights(law)[-1] == pytest.approx(0.9**100)
    assert legend(figure) == ["theory: (1 − 1/κ_G)^K"]
    assert legend(composed(FIGURE_2A, cells(studies=()))) == []


def test_points_whose_premise_is_in_doubt_are_ringed() -> None:
    def broken(k: int) -> dict[str, list[float]]:
        return {
            "implicit_relative_error": [0.5],
            "negative_curvature": [0.0, float(k == 2)],
            "smallest_curvature": [1.0, 0.0 if k == 8 else 1.0],
        }

    figure = composed(ERROR, curve("CG", "imaml-cg", STEPS, broken, **study()))
    assert len(lines_through(figure.axes[0], (2, 8))) == 1
    assert "H + λI may be indefinite" in legend(figure)
    sound = composed(ERROR, curve("CG", "imaml-cg", STEPS, errors, **study()))
    assert "H + λI may be indefinite" not in legend(sound)


def test_eigenvalues_of_either_sign_are_drawn_on_a_linear_axis() -> None:
    network = {"problem": {"name": "sinusoid", "parameters": {}}, **study()}
    cells = curve(
        "CG", "imaml-cg", STEPS, lambda k: {"inner_residual": [1 / k], "smallest_curvature": [k - 5.0]}, **network
    )
    _, axes = composed(VALIDITY, cells).axes
    (line,) = lines_through(axes, STEPS)
    assert heights(line) == [-4.0, -3.0, -1.0, 3.0]
    assert axes.get_yscale() == "linear"
    low, high = axes.get_ylim()
    assert low < -4 < 3 < high


def test_each_study_has_the_figures_that_say_something() -> None:
    def kinds(metrics: dict[str, list[float]], **about: Any) -> list[str]:
        more: dict[str, Any] = study() | about
        setting = setting_of([measurement("CG", estimator="imaml-cg", metrics=metrics, **more)])
        return [kind.name for kind in (ERROR, COST, ROUNDING, VALIDITY) if panels(kind, setting)]

    error = {"implicit_relative_error": [0.1], "smallest_curvature": [1.0], "inner_residual": [0.1]}
    assert kinds(error) == ["accuracy"]
    assert kinds(error, problem={"name": "sinusoid", "parameters": {}}) == ["accuracy", "validity"]
    assert kinds(error | {"rounding_relative_error": [1e-7]}) == ["rounding"]
    assert kinds({"peak_bytes": [1.0]}) == ["cost"]


ONE_GB = 1_000_000_000
OUT_OF_8_GB = [
    *curve("MAML", "maml", STEPS, lambda k: {"peak_bytes": [k * ONE_GB / 2], "forecast_peak_bytes": [k * ONE_GB / 2]}),
    measurement("MAML", 32, status=Status.OOM, metrics={"forecast_peak_bytes": [16 * ONE_GB]}),
    *curve("replay", "maml-replay", STEPS, memory(0, ONE_GB)),
    measurement("replay", 32, estimator="maml-replay", status=Status.SKIPPED, reason="forecast 9 GB of 8 GB"),
]


def test_cells_that_ran_out_of_memory_are_marked_at_the_memory_there_is() -> None:
    figure = composed(FIGURE_2B, OUT_OF_8_GB)
    (axes,) = figure.axes
    assert "memory 8 GB" in names_at_ends(axes)
    (limit,) = [line for line in axes.get_lines() if heights(line) == [8e9, 8e9]]
    assert limit.is_dashed()
    oom, skipped = lines_through(axes, (32,))
    assert (oom.get_marker(), skipped.get_marker()) == ("x", "|")
    assert heights(oom) == heights(skipped) == [8e9]
    figure.canvas.draw()
    on, above = (line.get_transform().transform((32, 8e9))[1] for line in (oom, skipped))
    assert on == pytest.approx(axes.transData.transform((32, 8e9))[1])
    assert above - on == pytest.approx(6.5 / 72 * figure.dpi)
    assert above < axes.transAxes.transform((0, 1))[1]


def test_the_memory_there_is_is_shown_where_something_came_near_it_alone() -> None:
    within = curve("MAML", "maml", STEPS, memory(1e6, 1e6))
    assert "memory 8 GB" not in names_at_ends(composed(FIGURE_2B, within).axes[0])
    assert "memory there is" not in caption(FIGURE_2B, setting_of(within))
    assert "memory there is, 8 GB" in caption(FIGURE_2B, setting_of(OUT_OF_8_GB))
    forecast = curve("MAML", "maml", STEPS, lambda k: {"peak_bytes": [k * 1e6], "forecast_peak_bytes": [k * 2e9]})
    assert "memory 8 GB" in names_at_ends(composed(FIGURE_2B, forecast).axes[0])
    times = [measurement(metrics={"wall_seconds": [1.0]}), measurement("MAML", 2, status=Status.OOM)]
    assert names_at_ends(composed(FIGURE_2B, times).axes[0]) == []


def test_the_memory_there_is_is_that_of_the_device() -> None:
    card = {"device": "cuda:0", "device_name": "H100", "device_memory_bytes": 85_900_000_000}
    cells = [
        measurement(metrics={"peak_bytes": [1.0]}, device="cuda:0"),
        measurement("MAML", 2, status=Status.OOM, device="cuda:0"),
    ]
    of_card, unknown = (
        settings([run(cells, machine=MACHINE.model_copy(update=card | more))])[0]
        for more in ({}, {"device_memory_bytes": None})
    )
    assert "85.9 GB" in caption(FIGURE_2B, of_card)
    with style.context(parameters()):
        (axes,) = compose(FIGURE_2B, of_card, styles([of_card])).axes
    assert "device memory 85.9 GB" in names_at_ends(axes)
    assert caption(FIGURE_2B, unknown) == FIGURE_2B.caption


def test_the_caption_says_what_the_band_is_and_what_is_dashed() -> None:
    assert all("from the first to the third quartile" in kind.caption for kind in (*OF_THE_PAPER, *OF_STUDIES))
    assert "Dashed without marks" in caption(FIGURE_2B, setting_of(OUT_OF_8_GB))
    assert "Dashed" not in caption(FIGURE_2B, setting_of(curve("MAML", "maml", STEPS, memory(1e6, 1e6))))


def test_curves_that_end_apart_are_named_at_their_ends_in_colours_that_can_be_read() -> None:
    cells = [
        *curve("MAML", "maml", STEPS, memory(264e6, 58e6)),
        *curve("replay", "maml-replay", STEPS, memory(0, 77e6)),
    ]
    figure = composed(FIGURE_2B, cells)
    (axes,) = figure.axes
    assert names_at_ends(axes) == ["MAML", "replay"]
    assert legend(figure) == []
    assert all(contrast(to_rgb(text.get_color())) >= 4.5 for text in axes.texts)
    share = axes.transAxes.inverted().transform(axes.transData.transform((8, 58e6 + 8 * 264e6)))[1]
    assert axes.texts[0].xy == pytest.approx((1.0, share))  # type: ignore[attr-defined]


def test_curves_that_end_together_or_early_are_named_in_the_legend() -> None:
    together = [cell for name in "abc" for cell in curve(name, name, STEPS, memory(0, 77e6))]
    assert legend(composed(FIGURE_2B, together)) == ["a", "b", "c"]
    early = [*curve("a", "a", STEPS, memory(0, 77e6)), *curve("b", "b", STEPS[:2], memory(0, 9e6))]
    figure = composed(FIGURE_2B, early)
    assert legend(figure) == ["a", "b"]
    assert names_at_ends(figure.axes[0]) == []


def test_a_name_too_long_for_its_place_goes_to_the_legend() -> None:
    cells = curve("a name that is very long, too long for a column", "maml", STEPS, memory(1e6, 1e6))
    setting = setting_of(cells)
    with style.context(parameters(LOOKS["paper"])):
        figure = compose(FIGURE_2B, setting, styles([setting]), LOOKS["paper"])
    assert len(legend(figure)) == 1


@pytest.mark.parametrize("look", [*LOOKS.values(), Look(width=2.5), Look(width=3.3, font_size=10)])
@pytest.mark.parametrize("steps", [STEPS, (1, 1000)])
def test_nothing_sticks_out_or_overlaps_in_any_look(look: Look, steps: tuple[int, ...]) -> None:
    def both(k: int) -> dict[str, list[float]]:
        return {"peak_bytes": [1e6 * k], "wall_seconds": [k * 0.011]}

    cells = [cell for name in ("MAML", "MAML, replay") for cell in curve(name, f"of {name}", steps, both)]
    setting = setting_of(cells)
    with style.context(parameters(look)):
        figure = compose(FIGURE_2B, setting, styles([setting]), look)
        figure.canvas.draw()
        boxes = [axes.get_tightbbox() or axes.bbox for axes in figure.axes]
        boxes += [each.get_window_extent() for each in figure.legends]
    whole = figure.bbox.padded(1.0)
    assert figure.get_figwidth() <= look.width
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)
    assert all(whole.y0 <= box.y0 and box.y1 <= whole.y1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_column_has_its_panels_one_below_the_other() -> None:
    setting = setting_of(curve("MAML", "maml", STEPS, errors, **ACCURACY))
    with style.context(parameters(LOOKS["paper"])):
        upper, lower = compose(FIGURE_2A, setting, styles([setting]), LOOKS["paper"]).axes
    assert upper.get_position().y0 > lower.get_position().y1
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "inner steps K")
    assert upper.get_title() == "against exact backprop\nthrough the same K steps"


def test_a_pdf_holds_its_fonts_as_truetype_and_no_date() -> None:
    pdf = drawn(FIGURE_2B, curve("MAML, κ → ∞", "maml", STEPS, memory(1e6, 1e6)))["pdf"]
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"Date" not in pdf
    assert len(pdf) < 60_000


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_many_figures_are_drawn_at_a_time_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [
        cell
        for tasks in range(1, 9)
        for cell in curve(
            "CG", "imaml-cg", STEPS, lambda k: {"rounding_relative_error": [0.1 / k]}, **study(), tasks=tasks
        )
    ]
    found = settings([run(cells)])
    look = styles(found)
    monkeypatch.setattr("harness.report.figures.usable_cpus", lambda: frozenset(range(2)))
    together = list(draw_all(ROUNDING, found, look))
    assert together == [draw(ROUNDING, setting, look) for setting in found]
    assert len({each["svg"] for each in together}) == 8
    assert set(together[0]) == set(FORMATS) == {"png", "svg", "pdf"}
