import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.drawing import ONE, PIXEL, WORDS, Hands, between, draw, plain_hands, random_hands
from harness.data.outlines import Outlines
from harness.data.raster import SIZE, SUB


def polygon(*corners: tuple[int, int]) -> Outlines:
    points = np.array(corners)
    return Outlines(np.hstack([points, np.roll(points, -1, axis=0)]), np.array([len(points)]))


FLAG = polygon((0, 0), (100, 0), (100, 3000), (1000, 3000), (1000, 4000), (0, 4000))
"""A pole with a flag at its upper right; y points up."""


@pytest.fixture(scope="module")
def words() -> NDArray[np.uint64]:
    return np.random.PCG64(0).random_raw(2000 * WORDS).reshape(2000, WORDS)


def extremes() -> NDArray[np.uint64]:
    """Every combination of the least and the largest word."""
    ends = np.array([0, 2**64 - 1], np.uint64)
    return np.stack(np.meshgrid(*[ends] * WORDS), axis=-1).reshape(-1, WORDS)


def test_a_plain_glyph_is_upright_and_fills_the_frame_but_for_two_pixels():
    [image] = draw(FLAG, np.array([0]), plain_hands(1))
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert (rows[0], rows[-1]) == (2, SIZE - 3)
    assert (columns[0], columns[-1]) == (11, 16)
    assert (image[2:8, 11:17] == 255).all()
    assert not image[8:, 12:].any()


def test_a_quarter_turn_lays_the_pole_down():
    hands = Hands(
        matrix=np.array([[[0, -ONE], [ONE, 0]]]),
        length=np.array([20 * PIXEL]),
        centre=np.array([[14 * PIXEL, 14 * PIXEL]]),
        weight=np.array([0]),
    )
    [image] = draw(FLAG, np.array([0]), hands)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert (columns[0], columns[-1]) == (4, 23)
    assert (rows[0], rows[-1]) == (11, 16)
    assert image[12, 5] == 255
    assert image[12, 20] == 0


def test_each_image_shows_its_glyph_wherever_the_glyph_is_among_the_outlines():
    flat = polygon((0, 0), (4000, 0), (4000, 100), (0, 100))
    outlines = Outlines(np.concatenate([FLAG.edges, flat.edges]), np.array([6, 4]))
    images = draw(outlines, np.array([1, 0, 1]), plain_hands(3))
    [flag], [bar] = draw(FLAG, np.array([0]), plain_hands(1)), draw(flat, np.array([0]), plain_hands(1))
    assert np.array_equal(images, np.stack([bar, flag, bar]))


@pytest.mark.parametrize("outlines", [FLAG, polygon((0, 0), (4000, 0), (4000, 4000), (0, 4000))])
def test_no_hand_draws_over_the_frame(outlines: Outlines):
    words = extremes()
    images = draw(outlines, np.zeros(len(words), np.int64), random_hands(words))
    assert not images[:, [0, -1]].any()
    assert not images[:, :, [0, -1]].any()
    assert images.any(axis=(1, 2)).all()


def test_hands_are_a_rotation_shear_and_stretch_within_their_bounds(words: NDArray[np.uint64]):
    hands = random_hands(words)
    first, second = np.moveaxis(hands.matrix / ONE, -1, 0)
    angle = np.degrees(np.arctan2(first[:, 1], first[:, 0]))
    stretch = np.hypot(*first.T)
    shear = (first * second).sum(axis=1) / stretch
    assert [angle.min(), angle.max()] == pytest.approx([-10, 10], abs=0.1)
    assert [stretch.min(), stretch.max()] == pytest.approx([0.85, 1.15], abs=0.01)
    assert [shear.min(), shear.max()] == pytest.approx([-0.15, 0.15], abs=0.01)
    assert np.linalg.det(hands.matrix / ONE) == pytest.approx(stretch, abs=1e-4)
    assert [hands.length.min() / PIXEL, hands.length.max() / PIXEL] == pytest.approx([18, 22], abs=0.1)
    offset = hands.centre / PIXEL - SIZE / 2
    assert [offset.min(), offset.max()] == pytest.approx([-1.5, 1.5], abs=0.1)
    assert set(hands.weight.tolist()) == {0, 1, SUB // 2}


def test_between_takes_both_bounds_equally_often(words: NDArray[np.uint64]):
    drawn = between(words.reshape(-1), -2, 3)
    counts = np.bincount(drawn + 2, minlength=6)
    assert len(counts) == 6
    assert counts.min() > 0.9 * counts.mean()
    assert between(np.array([0, 2**64 - 1], np.uint64), -2, 3).tolist() == [-2, 3]
