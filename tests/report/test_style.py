from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from harness.cell import Measurement
from harness.registry import ESTIMATORS
from harness.report.legend import STATUS_MARKERS
from harness.report.settings import settings
from harness.report.style import PLACES, Colour, Style, contrast, legible, styles
from tests.report.synthetic import measurement, run

VISION = {
    "all cones": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What light of linear RGB looks like: Machado, Oliveira and Fernandes, 2009, at severity 1."""


def lab(colour: Colour, vision: str) -> np.ndarray:
    """CIE L*a*b* of the colour as seen."""
    encoded = np.array(colour)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ seen / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def style_of(*estimators: tuple[str, str]) -> dict[tuple[str, str], Style]:
    cells = [measurement(label, estimator=name, parameters={"of": label}) for name, label in estimators]
    return styles(settings([run(cells)]))


MAML, REPLAY, CG2, CG5, CG10 = (
    *(("maml", "MAML"), ("maml-replay", "replay")),
    *(("imaml-cg", "CG 2"), ("imaml-cg", "CG 5"), ("imaml-cg", "CG 10")),
)


def test_every_estimator_of_the_harness_has_its_own_colour_and_marker() -> None:
    assert set(PLACES) == set(ESTIMATORS.builtin)
    assert len({colour for colour, _ in PLACES.values()}) == len({marker for _, marker in PLACES.values()}) == 12
    assert not {marker for _, marker in PLACES.values()} & {marker for marker, _ in STATUS_MARKERS.values()}


@pytest.mark.parametrize("vision", VISION)
def test_no_two_estimators_look_alike_to_anyone(vision: str) -> None:
    seen = {name: lab(to_rgb(colour), vision) for name, (colour, _) in PLACES.items()}
    distances = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in combinations(PLACES, 2)}
    assert min(distances.values()) > 10, min(distances, key=lambda pair: distances[pair])


def test_an_estimator_looks_the_same_in_any_company_and_order() -> None:
    alone = style_of(MAML)[MAML]
    assert style_of(("another", "another"), REPLAY, CG2, MAML)[MAML] == alone
    assert style_of(MAML, CG5, ("fomaml", "FOMAML"))[MAML] == alone


def test_one_label_has_one_style_in_all_settings() -> None:
    float32, float64 = (
        [measurement(label, dtype=dtype, estimator="imaml-cg", parameters={"of": label}) for label in labels]
        for dtype, labels in (("float32", ("CG 2", "CG 5")), ("float64", ("CG 5",)))
    )
    found = styles(settings([run([*float32, *float64])]))
    assert set(found) == {CG2, CG5}


def test_configurations_of_an_estimator_share_its_marker_and_differ_in_shade_and_dash() -> None:
    found = style_of(CG2, CG5, CG10)
    assert {each.marker for each in found.values()} == {"^"}
    assert len({(each.dash, each.size) for each in found.values()}) == 3
    assert [found[each].filled for each in (CG2, CG5, CG10)] == [True, False, True]
    brightness = [sum(found[each].colour) for each in (CG2, CG5, CG10)]
    assert brightness == sorted(set(brightness), reverse=True)
    assert found[CG5].colour == style_of(CG5)[CG5].colour == to_rgb(PLACES["imaml-cg"][0])


def test_unknown_estimators_have_colours_of_their_own() -> None:
    known = [(name, name) for name in PLACES]
    found = style_of(*known, ("a", "a"), ("b", "b"), ("c", "c"))
    assert len({each.colour for each in found.values()}) == 15
    assert found["a", "a"] == style_of(*known, ("a", "a"))["a", "a"]


def test_more_estimators_than_colours_still_have_styles() -> None:
    many = [(f"estimator {index}", "label") for index in range(40)]
    assert len(style_of(*many)) == 40


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), *(to_rgb(colour) for colour, _ in PLACES.values())])
def test_names_can_be_read(colour: Colour) -> None:
    assert contrast(legible(colour)) >= 4.5
    if contrast(colour) >= 4.5:
        assert legible(colour) == pytest.approx(colour)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0.0, 0.0, 0.0)) == pytest.approx(21)
    assert contrast((1.0, 1.0, 1.0)) == pytest.approx(1)
    assert contrast(to_rgb("#767676")) == pytest.approx(4.54, abs=0.01)


def test_what_other_settings_compare_does_not_move_a_shade() -> None:
    def cells(dim: int, *labels: str) -> list[Measurement]:
        problem = {"name": "linear", "parameters": {"dim": dim}}
        return [measurement(label, parameters={"of": label}, problem=problem) for label in labels]

    alone = styles(settings([run(cells(1, "A"))]))
    beside = styles(settings([run([*cells(1, "A"), *cells(2, "B", "C"), *cells(3, "D", "E"), *cells(4, "C", "D")])]))
    assert beside["maml", "A"] == alone["maml", "A"]
    assert len({beside["maml", label].colour for label in "BCDE"}) == 4
