"""What a figure shows, as plain data; ``python -m tests.report.plotted`` draws the golden figures anew."""

import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from harness.cell import Measurement, Status
from harness.report.figures import compose, draw
from harness.report.kinds import ERROR, FIGURE_2A, FIGURE_2B, Kind
from harness.report.look import LOOKS, parameters
from harness.report.settings import Setting, settings
from harness.report.style import styles
from tests.report.synthetic import curve, measurement, run

FOLDER = Path(__file__).parent / "golden"
STEPS = (1, 2, 4, 8, 16)


def cost() -> list[Measurement]:
    """Memory and time on a machine of 8 GB, which MAML uses up."""

    def of(slope: float, intercept: float, seconds: float) -> Callable[[int], dict[str, list[float]]]:
        def metrics(k: int) -> dict[str, list[float]]:
            peak = intercept + slope * k
            times = [seconds * k * (1 + spread) for spread in (-0.2, -0.05, 0.0, 0.1, 0.4)]
            return {"peak_bytes": [peak], "wall_seconds": times, "forecast_peak_bytes": [peak]}

        return metrics

    maml = curve("MAML", "maml", STEPS[:4], of(0.8e9, 0.2e9, 0.02))
    oom = measurement("MAML", 16, status=Status.OOM, metrics={"forecast_peak_bytes": [13e9]})
    slow = measurement("FOMAML", 16, estimator="fomaml", status=Status.TIMEOUT)
    fomaml = [*curve("FOMAML", "fomaml", STEPS[:4], of(0.0, 0.1e9, 0.008)), slow]
    implicit = [
        cell
        for count in (2, 5)
        for cell in curve(
            f"iMAML, {count} CG steps", "imaml-cg", STEPS, of(0.0, 0.3e9 * count, 0.01 * count),
            parameters={"cg_steps": count},
        )
    ]  # fmt: skip
    return [*maml, oom, *fomaml, *implicit]


def accuracy(**study: Any) -> list[Measurement]:
    """Errors, an estimator that is exact among them."""

    def of(rate: float, floor: float) -> Callable[[int], dict[str, list[float]]]:
        return lambda k: {
            "backprop_relative_error": [0.0] * 3 if floor == 0 else [f * (rate**k + floor) for f in (0.8, 1.0, 1.5)],
            "implicit_relative_error": [f * (rate**k + floor) for f in (0.8, 1.0, 1.5)],
            "smallest_curvature": [1.0 if k < 16 else -1.0],
        }

    about: dict[str, Any] = {"measure": ("accuracy",), "references": ("backprop", "implicit"), "draws": 3, **study}
    part = {"lam": 0.1, "lr": "auto", "inner": "gd"}
    return [
        *curve("MAML", "maml", STEPS, of(0.4, 0.0), parameters=part, **about),
        *curve("iMAML", "imaml-cg", STEPS, of(0.4, 1e-4), parameters=part, **about),
    ]


FIGURES: dict[str, tuple[Kind, list[Measurement], str]] = {
    "figure2b": (FIGURE_2B, cost(), "default"),
    "figure2b-paper": (FIGURE_2B, cost(), "paper"),
    "figure2a": (FIGURE_2A, accuracy(), "default"),
    "accuracy-slides": (ERROR, accuracy(studies=({"title": "A", "x": "steps", "label": ""},)), "slides"),
}
"""Kind, cells and look, by the name of the golden files."""


@cache
def setting(name: str) -> Setting:
    (found,) = settings([run(FIGURES[name][1])])
    return found


def composed(name: str) -> Figure:
    kind, _, look = FIGURES[name]
    with style.context(["default", parameters(LOOKS[look])], after_reset=True):
        figure = compose(kind, setting(name), styles([setting(name)]), LOOKS[look])
        figure.canvas.draw()
    return figure


def plotted(figure: Figure) -> dict[str, Any]:
    """Panels, curves, bands, marks and words, with numbers to six digits."""
    legend = [text.get_text() for each in figure.legends for text in each.get_texts()]
    return {"panels": [_panel(axes) for axes in figure.axes], "legend": legend}


def picture(name: str) -> Image.Image:
    """The figure's PNG, in grey, at a size at which how letters are drawn makes little difference."""
    kind, _, look = FIGURES[name]
    with Image.open(BytesIO(draw(kind, setting(name), styles([setting(name)]), LOOKS[look])["png"])) as image:
        return image.convert("L").resize((320, round(320 * image.height / image.width)), Image.Resampling.BOX)


def _panel(axes: Axes) -> dict[str, Any]:
    bands = [each for each in axes.collections if isinstance(each, PolyCollection)]
    return {
        "title": axes.get_title(),
        "x": [axes.get_xlabel(), axes.get_xscale(), [text.get_text() for text in axes.get_xticklabels()]],
        "y": [axes.get_ylabel(), axes.get_yscale(), [text.get_text() for text in axes.get_yticklabels()]],
        "y_range": _rounded(axes.get_ylim()),
        "lines": [_line(line) for line in axes.get_lines()],
        "bands": [[to_hex(tuple(np.asarray(band.get_facecolor())[0].tolist())), _band(band)] for band in bands],
        "words": [[text.get_text(), to_hex(to_rgb(cast("str", text.get_color())))] for text in axes.texts],
    }


def _line(line: Line2D) -> dict[str, Any]:
    return {
        "x": _rounded(np.asarray(line.get_xdata())[:64]),
        "y": _rounded(np.asarray(line.get_ydata())[:64]),
        "colour": to_hex(to_rgb(cast("str", line.get_color()))),
        "marker": str(line.get_marker()),
        "dashed": line.is_dashed(),
    }


def _band(band: PolyCollection) -> list[list[float]]:
    """Its lower and upper edge at every value."""
    ((corners, *_),) = [[np.asarray(path.vertices) for path in band.get_paths()]]
    values = sorted({float(x) for x, _ in corners})
    edges = [[float(y) for x, y in corners if x == value] for value in values]
    return [_rounded((value, min(ys), max(ys))) for value, ys in zip(values, edges, strict=True)]


def _rounded(numbers: Sequence[float] | np.ndarray) -> list[float]:
    return [float(f"{number:.6g}") if math.isfinite(number) else 0.0 for number in numbers]


if __name__ == "__main__":
    content = {name: plotted(composed(name)) for name in FIGURES}
    (FOLDER / "plotted.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for name in FIGURES:
        picture(name).save(FOLDER / f"{name}.png", optimize=True)
    (FOLDER / "matplotlib.txt").write_text(mpl.__version__ + "\n")
