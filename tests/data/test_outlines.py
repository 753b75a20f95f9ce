from pathlib import Path

import numpy as np
import pytest
from fontTools.pens.areaPen import AreaPen
from fontTools.ttLib import TTFont

from harness.data.fonts import faces
from harness.data.outlines import UNITS, Outlines, codepoints, join, read_outlines


def area(outlines: Outlines) -> float:
    """Signed area in square font units."""
    x0, y0, x1, y1 = outlines.edges.T
    return float((x0 * y1 - x1 * y0).sum()) / 2 / UNITS**2


@pytest.fixture(scope="module")
def font() -> Path:
    return faces()[0]


@pytest.mark.parametrize(
    ("face", "character"),
    [
        ("Sans", "S"),  # on-curve points implied
        ("Sans", "B"),  # holes
        ("Serif", "é"),  # composite
        ("Sans", "ᾖ"),  # composite of composites
        ("SansMono-Bold", "ď"),  # composite with a scaled component
        ("Sans", "߉"),  # a contour without on-curve points
        ("Sans", "Ж"),  # overlapping contours
    ],
)
def test_outlines_have_the_area_and_bounds_of_the_font(face: str, character: str):
    font = next(path for path in faces() if path.stem == f"DejaVu{face}")
    with TTFont(font) as file:
        glyphs = file.getGlyphSet()
        names = file.getBestCmap()
        assert names is not None
        header = file["glyf"][names[ord(character)]]
        pen = AreaPen(glyphs)
        glyphs[names[ord(character)]].draw(pen)
    outlines = read_outlines(font, [ord(character)])
    corners = outlines.edges.reshape(-1, 2) / UNITS
    assert area(outlines) == pytest.approx(pen.value, rel=0.02)
    assert corners.min(axis=0) == pytest.approx([header.xMin, header.yMin], abs=12)
    assert corners.max(axis=0) == pytest.approx([header.xMax, header.yMax], abs=12)


def test_contours_are_closed(font: Path):
    edges = read_outlines(font, [ord("é")]).edges
    starts, ends = edges[:, :2], edges[:, 2:]
    assert sorted(map(tuple, starts.tolist())) == sorted(map(tuple, ends.tolist()))


def test_a_glyph_is_the_same_read_alone_or_with_others(font: Path):
    characters = [ord(character) for character in "é 8Ж"]
    together = read_outlines(font, characters)
    alone = [read_outlines(font, [character]) for character in characters if character != ord(" ")]
    assert together.counts[1] == 0
    assert np.array_equal(together.edges, join(alone).edges)
    assert together.counts[[0, 2, 3]].tolist() == join(alone).counts.tolist()


def test_codepoints_are_the_characters_that_the_font_has(font: Path):
    assert {ord("A"), ord("Ж"), ord("א")} <= codepoints(font)
    assert ord("一") not in codepoints(font)
