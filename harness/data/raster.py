"""Polygons to small grey images, in whole numbers throughout: the same pixels on every machine."""

import numpy as np
from numpy.typing import NDArray

SIZE = 28
"""Pixels of an image's side."""
SUB = 4
"""Samples of a pixel's side."""
SAMPLES = SIZE * SUB
"""Samples of an image's side."""
FINE = 64
"""Positions are in units of 1 / FINE of the distance between samples; sample i is at (i + 1/2) FINE."""


def fill(edges: NDArray[np.int64], image: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Ink at every sample that an image's polygons wind around, on balance (the nonzero rule).

    Args:
        edges: Shape (edges, 4): x and y of the start, x and y of the end, inside the frame, y pointing down. The edges
            of an image form closed polygons.
        image: Shape (edges,): the image that each belongs to.
        count: Images.

    Returns:
        Shape (count, SAMPLES, SAMPLES): row, column.
    """
    x0, y0, x1, y1 = edges.T
    first, end = _sample_from(np.minimum(x0, x1)), _sample_from(np.maximum(x0, x1))
    edge, column = np.repeat(np.arange(len(edges)), end - first), ranges(first, end - first)
    across = column * FINE + FINE // 2 - x0[edge]
    row = _sample_from(y0[edge] - across * (y0 - y1)[edge] // (x1 - x0)[edge])

    # An edge winds once around every sample below it. (Numpy sums faster down the columns than along the rows.)
    winding = np.zeros((count, SAMPLES, SAMPLES), np.int8)
    turn = np.sign(x1 - x0).astype(np.int8)
    np.add.at(winding.reshape(-1), (image[edge] * SAMPLES + row) * SAMPLES + column, turn[edge])
    return np.cumsum(winding, axis=1, dtype=np.int8) != 0


def thicken(ink: NDArray[np.bool_], samples: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Grow the ink of each image by so many samples up, down, left and right."""
    ink = ink.copy()
    for step in range(samples.max(initial=0)):
        grown = np.flatnonzero(samples > step)
        thin = ink[grown]
        thick = thin.copy()
        thick[:, 1:] |= thin[:, :-1]
        thick[:, :-1] |= thin[:, 1:]
        thick[:, :, 1:] |= thin[:, :, :-1]
        thick[:, :, :-1] |= thin[:, :, 1:]
        ink[grown] = thick
    return ink


def average(ink: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Grey images of shape (count, SIZE, SIZE): each pixel the share of ink among its samples, 255 for all of them."""
    boxes = ink.view(np.uint8).reshape(-1, SIZE, SUB, SIZE, SUB)
    columns = boxes[:, :, 0] + boxes[:, :, 1] + boxes[:, :, 2] + boxes[:, :, 3]
    inked = columns[..., 0] + columns[..., 1] + columns[..., 2] + columns[..., 3]
    return (inked.astype(np.uint16) * 255 // SUB**2).astype(np.uint8)


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each i the whole numbers from ``starts[i]`` on, ``counts[i]`` of them, one range after another."""
    return np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)


def _sample_from(position: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first sample at or after a position."""
    return (position + FINE // 2 - 1) // FINE
