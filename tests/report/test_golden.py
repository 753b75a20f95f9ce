"""Figures against what was once found right: their content to the number, their looks to within a tolerance."""

import json
from statistics import quantiles
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from tests.report.plotted import FIGURES, FOLDER, STEPS, composed, cost, picture, plotted

DRAWN_WITH = (FOLDER / "matplotlib.txt").read_text().strip()
TOLERANCE = 6.0
"""Root mean square of the differences of grey levels of 255: a curve moved by its width makes more."""


def distance(one: Image.Image, other: Image.Image) -> float:
    if one.size != other.size:
        return 255.0
    return float(np.sqrt(np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)))


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_plotted_is_what_it_was(name: str) -> None:
    golden = json.loads((FOLDER / "plotted.json").read_text("utf-8"))
    assert plotted(composed(name)) == golden[name]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_look_as_they_did(name: str) -> None:
    if mpl.__version__ != DRAWN_WITH:
        pytest.skip(f"the golden figures were drawn with matplotlib {DRAWN_WITH}, and this is {mpl.__version__}")
    with Image.open(FOLDER / f"{name}.png") as golden:
        assert distance(picture(name), golden) < TOLERANCE


def test_another_figure_looks_different() -> None:
    with Image.open(FOLDER / "figure2b.png") as golden, Image.open(FOLDER / "figure2a.png") as other:
        assert distance(golden, other.resize(golden.size)) > 3 * TOLERANCE


def test_the_measured_numbers_are_what_is_plotted() -> None:
    memory, time = plotted(composed("figure2b"))["panels"]
    for label, marker in (("MAML", "o"), ("FOMAML", "D")):
        cells = [each for each in cost() if each.cell.label == label and "wall_seconds" in each.metrics]
        assert line_of(memory, marker) == {
            each.cell.steps: pytest.approx(each.metrics["peak_bytes"][0]) for each in cells
        }
        medians = {each.cell.steps: pytest.approx(each.metrics["wall_seconds"][2]) for each in cells}
        assert line_of(time, marker) == medians


def test_the_band_goes_from_the_first_to_the_third_quartile() -> None:
    _, time = plotted(composed("figure2b"))["panels"]
    samples = {
        each.cell.steps: each.metrics["wall_seconds"] for each in cost() if each.cell.label == "iMAML, 5 CG steps"
    }
    assert len(samples) == len(STEPS)
    edges = {k: quantiles(of, n=4, method="inclusive") for k, of in samples.items()}
    assert any(
        band == [pytest.approx([k, low, high], rel=1e-5) for k, (low, _, high) in edges.items()]
        for _, band in time["bands"]
    )


def line_of(panel: dict[str, Any], marker: str) -> dict[float, float]:
    (found,) = [line for line in panel["lines"] if line["marker"] == marker]
    return dict(zip(found["x"], found["y"], strict=True))
