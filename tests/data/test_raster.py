import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.raster import FINE, SAMPLES, SIZE, SUB, average, fill, ranges, thicken


def edges_of(*polygons: list[tuple[int, int]]) -> NDArray[np.int64]:
    corners = [np.array(polygon) for polygon in polygons]
    return np.concatenate([np.hstack([polygon, np.roll(polygon, -1, axis=0)]) for polygon in corners])


def square(low: int, high: int) -> list[tuple[int, int]]:
    """Corners of a square that covers the samples from low to high − 1, both ways."""
    a, b = low * FINE, high * FINE
    return [(a, a), (b, a), (b, b), (a, b)]


def fill_one(*polygons: list[tuple[int, int]]) -> NDArray[np.bool_]:
    edges = edges_of(*polygons)
    return fill(edges, np.zeros(len(edges), np.int64), 1)[0]


def covered(low: int, high: int) -> NDArray[np.bool_]:
    inside = (np.arange(SAMPLES) >= low) & (np.arange(SAMPLES) < high)
    return inside[:, None] & inside


def winding(edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """At each sample the winding number, by a ray to the right, and whether an edge passes through it."""
    position = np.arange(SAMPLES) * FINE + FINE // 2
    x, y = position[None, :], position[:, None]
    number = np.zeros((SAMPLES, SAMPLES), np.int64)
    touched = np.zeros((SAMPLES, SAMPLES), np.bool_)
    for x0, y0, x1, y1 in edges:
        side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
        number += (y0 <= y) & (y < y1) & (side < 0)
        number -= (y1 <= y) & (y < y0) & (side > 0)
        touched |= side == 0
    return number, touched


def test_a_square_covers_its_samples():
    assert np.array_equal(fill_one(square(3, 50)), covered(3, 50))


def test_overlapping_contours_are_ink_and_opposite_ones_a_hole():
    assert np.array_equal(fill_one(square(3, 50), square(20, 40)), covered(3, 50))
    assert np.array_equal(fill_one(square(3, 50), square(20, 40)[::-1]), covered(3, 50) & ~covered(20, 40))


@pytest.mark.parametrize("seed", range(5))
def test_any_polygon_is_inked_where_its_winding_number_is_not_zero(seed: int):
    corners = np.random.default_rng(seed).integers(0, SAMPLES * FINE, (15, 2))
    edges = edges_of([(int(x), int(y)) for x, y in corners])
    number, touched = winding(edges)
    assert set(np.unique(number)) >= {-1, 0, 1}
    ink = fill(edges, np.zeros(len(edges), np.int64), 1)[0]
    assert np.array_equal(ink[~touched], number[~touched] != 0)


def test_images_are_filled_apart():
    edges = np.concatenate([edges_of(square(1, 9)), edges_of(square(30, 31))])
    ink = fill(edges, np.repeat([0, 2], 4), 3)
    assert np.array_equal(ink, np.stack([covered(1, 9), covered(0, 0), covered(30, 31)]))


def test_strokes_grow_in_four_directions():
    dot = covered(50, 51)
    grown = thicken(np.stack([dot] * 3), np.array([0, 1, 2]))
    row, column = np.ogrid[:SAMPLES, :SAMPLES]
    distance = abs(row - 50) + abs(column - 50)
    assert np.array_equal(grown, np.stack([distance <= samples for samples in range(3)]))


def test_growth_stops_at_the_frame():
    edge = np.zeros((1, SAMPLES, SAMPLES), np.bool_)
    edge[:, 0, 0] = edge[:, -1, -1] = True
    assert thicken(edge, np.array([1])).sum() == 6


def test_a_pixel_is_the_share_of_its_samples():
    ink = np.zeros((2, SAMPLES, SAMPLES), np.bool_)
    ink[1, :SUB, SUB : 2 * SUB] = True
    ink[1, SAMPLES - 1, SAMPLES - 2 :] = True
    expected = np.zeros((2, SIZE, SIZE), np.uint8)
    expected[1, 0, 1] = 255
    expected[1, -1, -1] = 255 * 2 // 16
    assert np.array_equal(average(ink), expected)


def test_ranges_follow_one_another():
    assert ranges(np.array([5, 9, 2]), np.array([2, 0, 3])).tolist() == [5, 6, 2, 3, 4]
