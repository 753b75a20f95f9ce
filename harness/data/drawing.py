"""Glyph outlines to images, each drawn a little differently."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data.outlines import Outlines
from harness.data.raster import FINE, SIZE, SUB, average, fill, ranges, thicken
from harness.data.source import Images

ONE = 1 << 16
"""Matrices are in units of 1 / ONE."""
PIXEL = SUB * FINE
"""Lengths are in units of 1 / PIXEL of a pixel."""
WORDS = 7
"""Random words that determine a hand."""


@dataclass(frozen=True, eq=False)
class Hands:
    """How each of several images is drawn."""

    matrix: NDArray[np.int64]
    """Shape (images, 2, 2): what is done to the outline, up to size and place."""
    length: NDArray[np.int64]
    """Shape (images,): longer side of the drawn outline's bounding box."""
    centre: NDArray[np.int64]
    """Shape (images, 2): x and y of that box's centre."""
    weight: NDArray[np.int64]
    """Shape (images,): samples that strokes grow on each side."""


def plain_hands(images: int) -> Hands:
    """The glyph as it is, as large as the frame allows but for a margin of two pixels."""
    return Hands(
        matrix=np.tile(ONE * np.eye(2, dtype=np.int64), (images, 1, 1)),
        length=np.full(images, (SIZE - 4) * PIXEL),
        centre=np.full((images, 2), SIZE * PIXEL // 2),
        weight=np.zeros(images, np.int64),
    )


def random_hands(words: NDArray[np.uint64]) -> Hands:
    """Rotated by up to 10°, sheared by up to 0.15, stretched by up to 15 %, 18 to 22 pixels long, up to 1.5 off centre.

    Strokes grow by up to half a pixel on each side. The drawn outline keeps at least one pixel from the frame.

    Args:
        words: Shape (images, WORDS); random, uniform.
    """
    turn, shear, stretch, length, right, down, weight = words.T
    # Of the rotation's half angle, the tangent: sine and cosine are rational in it.
    tangent = between(turn, -5734, 5734)
    scale = ONE**2 + tangent**2
    cosine, sine = (ONE**2 - tangent**2) * ONE // scale, 2 * tangent * ONE**2 // scale
    wide, slant = between(stretch, ONE * 85 // 100, ONE * 115 // 100), between(shear, -ONE * 15 // 100, ONE * 15 // 100)
    matrix = [[cosine * wide, cosine * slant - sine * ONE], [sine * wide, sine * slant + cosine * ONE]]
    offset = [between(right, -3 * PIXEL // 2, 3 * PIXEL // 2), between(down, -3 * PIXEL // 2, 3 * PIXEL // 2)]
    return Hands(
        matrix=np.moveaxis(np.array(matrix), -1, 0) // ONE,
        length=between(length, 18 * PIXEL, 22 * PIXEL),
        centre=np.array(offset).T + SIZE * PIXEL // 2,
        weight=between(weight, 0, SUB // 2),
    )


def between(words: NDArray[np.uint64], low: int, high: int) -> NDArray[np.int64]:
    """Uniform whole numbers from ``low`` to ``high``, both included, from the upper halves of uniform random words."""
    return low + ((words >> 32) * (high - low + 1) >> 32).astype(np.int64)


def draw(outlines: Outlines, glyph: NDArray[np.int64], hands: Hands) -> Images:
    """One image for each hand.

    Args:
        outlines: Of the glyphs.
        glyph: Shape (images,): index of the glyph that each image shows, none of them blank.
        hands: How.

    Returns:
        Shape (images, height, width).
    """
    counts = outlines.counts[glyph]
    starts = np.cumsum(outlines.counts) - outlines.counts
    image = np.repeat(np.arange(len(glyph)), counts)
    corners = outlines.edges[ranges(starts[glyph], counts)].reshape(-1, 2, 2)
    moved = np.einsum("eij,epj->epi", hands.matrix[image], corners) * [1, -1]

    first_corner = 2 * (np.cumsum(counts) - counts)
    low = np.minimum.reduceat(moved.reshape(-1, 2), first_corner)
    high = np.maximum.reduceat(moved.reshape(-1, 2), first_corner)
    longer = (high - low).max(axis=1)
    from_middle = 2 * moved - (low + high)[image, None]
    length, whole = hands.length[image, None, None], 2 * longer[image, None, None]
    placed = from_middle * length // whole + hands.centre[image, None]

    ink = fill(placed.reshape(-1, 4), image, len(glyph))
    return average(thicken(ink, hands.weight))
