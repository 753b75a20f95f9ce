from harness.report.settings import settings
from harness.report.style import Style, styles
from tests.report.synthetic import measurement, run


def style_of(*estimators: tuple[str, str]) -> dict[tuple[str, str], Style]:
    cells = [measurement(label, estimator=name, parameters={"of": label}) for name, label in estimators]
    return styles(settings([run(cells)]))


MAML, REPLAY, CG2, CG5, CG10 = (
    *(("maml", "MAML"), ("maml-replay", "replay")),
    *(("imaml-cg", "CG 2"), ("imaml-cg", "CG 5"), ("imaml-cg", "CG 10")),
)


def test_the_known_estimators_keep_their_colour_in_any_company() -> None:
    assert style_of(MAML)[MAML].colour == style_of(("another", "another"), REPLAY, MAML)[MAML].colour
    assert style_of(MAML)[MAML].marker == style_of(("another", "another"), REPLAY, MAML)[MAML].marker


def test_one_label_has_one_style_in_all_settings() -> None:
    float32, float64 = (
        [measurement(label, dtype=dtype, estimator="imaml-cg", parameters={"of": label}) for label in labels]
        for dtype, labels in (("float32", ("CG 2", "CG 5")), ("float64", ("CG 5",)))
    )
    found = styles(settings([run([*float32, *float64])]))
    assert set(found) == {CG2, CG5}


def test_configurations_of_an_estimator_differ_in_shade_marker_and_dash() -> None:
    found = style_of(CG2, CG5, CG10)
    assert len({each.colour for each in found.values()}) == 3
    assert len({each.marker for each in found.values()}) == 3
    assert len({(each.dash, each.size) for each in found.values()}) == 3
    brightness = [sum(found[each].colour) for each in (CG2, CG5, CG10)]
    assert brightness == sorted(brightness, reverse=True)
    assert found[CG5].colour == style_of(CG5)[CG5].colour


def test_unknown_estimators_have_colours_of_their_own() -> None:
    known = (MAML, REPLAY, CG2, ("fomaml", "FOMAML"))
    found = style_of(*known, ("a", "a"), ("b", "b"), ("c", "c"))
    assert len({each.colour for each in found.values()}) == 7
    assert found["a", "a"] == style_of(*known, ("a", "a"))["a", "a"]


def test_more_estimators_than_colours_still_have_styles() -> None:
    many = [(f"estimator {index}", "label") for index in range(40)]
    assert len(style_of(*many)) == 40
