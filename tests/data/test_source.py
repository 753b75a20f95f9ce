import numpy as np
import pytest

from harness.data.source import ImageSet, episode
from harness.errors import BadInput


@pytest.fixture
def images() -> ImageSet:
    """7 classes of 6 images of 1×2×3 pixels; the first pixel tells the class, the second the instance."""
    pixels = np.zeros((7, 6, 1, 2, 3), np.uint8)
    pixels[..., 0, 0, 0] = np.arange(7)[:, None]
    pixels[..., 0, 0, 1] = np.arange(6)
    return ImageSet(pixels, tuple("abcdefg"))


def test_each_way_is_one_class_with_its_label(images: ImageSet):
    drawn = episode(images, ways=5, shots=2, queries=3, rng=np.random.default_rng(0))
    assert drawn.support_images.shape == (10, 1, 2, 3)
    assert drawn.query_images.shape == (15, 1, 2, 3)
    assert drawn.support_labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert drawn.query_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    classes = drawn.support_images[::2, 0, 0, 0]
    assert len(set(classes.tolist())) == 5
    assert np.array_equal(drawn.support_images[:, 0, 0, 0], classes[drawn.support_labels])
    assert np.array_equal(drawn.query_images[:, 0, 0, 0], classes[drawn.query_labels])


def test_support_and_query_never_share_an_instance(images: ImageSet):
    rng = np.random.default_rng(1)
    for _ in range(50):
        drawn = episode(images, ways=7, shots=2, queries=4, rng=rng)
        used = np.concatenate([drawn.support_images, drawn.query_images])[:, 0, 0, :2]
        assert len(np.unique(used, axis=0)) == len(used)


def test_every_class_and_instance_is_drawn_in_either_role(images: ImageSet):
    rng = np.random.default_rng(2)
    drawn = [episode(images, ways=2, shots=1, queries=1, rng=rng) for _ in range(300)]
    for role in (0, 2):
        assert len(np.unique(np.concatenate([d[role] for d in drawn])[:, 0, 0, :2], axis=0)) == 7 * 6


def test_the_generator_alone_determines_the_episode(images: ImageSet):
    first, again, other = (episode(images, 5, 2, 3, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.support_images, other.support_images)


@pytest.mark.parametrize(
    ("ways", "shots", "queries", "message"),
    [
        (8, 1, 1, "ways = 8: the image source has only 7 classes"),
        (2, 4, 3, r"shots \+ queries = 4 \+ 3: the image source has only 6 images a class"),
        (0, 1, 1, "ways = 0"),
        (2, 0, 1, "shots = 0"),
        (2, 1, 0, "queries = 0"),
    ],
)
def test_an_impossible_episode_is_bad_input(images: ImageSet, ways: int, shots: int, queries: int, message: str):
    with pytest.raises(BadInput, match=message):
        episode(images, ways, shots, queries, np.random.default_rng(0))
