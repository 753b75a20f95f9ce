"""Glyph outlines of TrueType fonts, as polygons with integer corners."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEGMENTS = 4
"""Straight edges that a quadratic curve is flattened to."""
UNITS = 2 * SEGMENTS**2
"""Corners are in units of 1 / UNITS of a font unit: implied on-curve points and points on curves are whole numbers."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """Closed polygons of several glyphs; a point that a glyph's polygons wind around, on balance, is ink."""

    edges: NDArray[np.int64]
    """Shape (edges, 4): x and y of the start, x and y of the end; y points up."""
    counts: NDArray[np.int64]
    """Shape (glyphs,): edges of each glyph, which follow one another."""


def codepoints(font: Path) -> set[int]:
    """The characters that the font has a glyph for."""
    with _open(font) as file:
        return set(file.getBestCmap())


def read_outlines(font: Path, characters: Sequence[int]) -> Outlines:
    """The outlines of these code points, all of which the font must have."""
    points: list[float] = []
    flags = bytearray()
    contour_ends: list[int] = []
    glyph_ends: list[int] = []
    with _open(font) as file:
        glyphs, names = file["glyf"], file.getBestCmap()
        for character in characters:
            coordinates, ends, on_curve = glyphs[names[character]].getCoordinates(glyphs)
            contour_ends += [len(flags) + end for end in ends]
            points += coordinates.array
            flags += on_curve
            glyph_ends.append(len(flags))
    # Scaled components of composite glyphs have fractional coordinates, exact in binary.
    whole = np.floor(np.array(points).reshape(-1, 2) + 0.5).astype(np.int64)
    on = np.array(flags, np.uint8) & 1 == 1
    glyph = np.searchsorted(glyph_ends, np.arange(len(flags)), side="right")
    edges, owner = _flatten(whole, on, np.array(contour_ends, np.int64))
    order = np.argsort(glyph[owner], kind="stable")
    return Outlines(edges[order], np.bincount(glyph[owner], minlength=len(characters)))


def join(outlines: Sequence[Outlines]) -> Outlines:
    """All of the glyphs, one after another."""
    return Outlines(np.concatenate([part.edges for part in outlines]), np.concatenate([o.counts for o in outlines]))


def _flatten(
    points: NDArray[np.int64], on: NDArray[np.bool_], contour_ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The edges of closed TrueType contours, and of each the index of a point that it belongs to.

    Between two off-curve points in a row lies an implied on-curve one, halfway.
    """
    index = np.arange(len(points))
    after = index + 1
    after[contour_ends] = np.append(0, contour_ends + 1)[:-1]
    before = np.empty_like(after)
    before[after] = index

    line, curve = index[on & on[after]], index[~on]
    lines = UNITS * np.hstack([points[line], points[after[line]]])

    start, end = (
        np.where(on[beside][:, None], 2 * points[beside], points[curve] + points[beside])
        for beside in (before[curve], after[curve])
    )
    t = np.arange(SEGMENTS + 1)[:, None, None]
    corners = (SEGMENTS - t) ** 2 * start + 2 * t * (SEGMENTS - t) * 2 * points[curve] + t**2 * end
    curves = np.concatenate([corners[:-1], corners[1:]], axis=-1).reshape(-1, 4)
    return np.concatenate([lines, curves]), np.concatenate([line, np.tile(curve, SEGMENTS)])


def _open(font: Path) -> Any:
    from fontTools.ttLib import TTFont

    return TTFont(font, lazy=True)
