import warnings
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.cell import Measurement, Status
from harness.report.figures import (
    COST,
    ERROR,
    FIGURE_2A,
    FIGURE_2B,
    ROUNDING,
    STATUS_MARKERS,
    VALIDITY,
    Kind,
    compose,
    draw,
    panels,
    plain_text,
)
from harness.report.settings import Setting, settings
from harness.report.style import parameters, styles
from tests.report.synthetic import HOSTILE, curve, measurement, memory, run

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
    return [text.get_text() for text in figure.legends[0].get_texts()]


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
        measurement("MAML", 16, status=Status.OOM),
        *curve("CG", "imaml-cg", (*STEPS, 16), memory(0, 77e6)),
        measurement("CG", 32, estimator="imaml-cg", status=Status.TIMEOUT),
    ]
    figure = composed(FIGURE_2B, cells)
    (axes,) = figure.axes
    (maml,), (oom,), (timeout,) = (lines_through(axes, steps) for steps in (STEPS, (16,), (32,)))
    assert oom.get_color() == maml.get_color() != timeout.get_color()
    assert (oom.get_marker(), timeout.get_marker()) == ("x", "+")
    top = 58e6 + 8 * 264e6
    share_of_axis = axes.transAxes.inverted().transform(axes.transData.transform((8, top)))[1]
    assert share_of_axis < heights(timeout)[0] < heights(oom)[0] < 1
    assert legend(figure) == ["MAML", "CG", "out of memory", "time limit"]
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
    assert legend(composed(FIGURE_2B, cells))[0] == plain_text(HOSTILE, 48)
    assert b"<script" not in drawn(FIGURE_2B, cells)["svg"]


def test_long_labels_are_cut_in_the_middle() -> None:
    assert plain_text("a" * 50 + "b" * 50, 11) == "aaaaa…bbbbb"
    assert plain_text("a\x00b\nc", 11) == "a b c"


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
    assert legend(figure) == ["CG", "theory: (1 − 1/κ_G)^K"]
    assert legend(composed(FIGURE_2A, cells(studies=()))) == ["CG"]


def test_points_whose_premise_is_in_doubt_are_ringed() -> None:
    def broken(k: int) -> dict[str, list[float]]:
        return {
            "implicit_relative_error": [0.5],
            "negative_curvature": [0.0, float(k == 2)],
            "smallest_curvature": [1.0, -1.0 if k == 8 else 1.0],
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
