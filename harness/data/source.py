"""What a source of images is, and the few-shot episodes drawn from one. Needs numpy alone."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput

Split: TypeAlias = Literal["train", "test"]
Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The classes of one split."""

    images: Images
    """Shape (classes, instances, channels, height, width). Of grey images, 0 is paper and 255 is ink."""
    names: tuple[str, ...]
    """What each class is."""


class ImageSource(Protocol):
    """A data set of classes with equally many images each; no class is in both splits."""

    def load(self, split: Split) -> ImageSet:
        """The classes of one split: the same ones, in the same order, at every call."""
        ...


class Episode(NamedTuple):
    """One few-shot classification task: the images of each class follow one another, in the order of the labels."""

    support_images: Images
    """Shape (ways · shots, channels, height, width)."""
    support_labels: Labels
    """Shape (ways · shots,), each from 0 to ways − 1."""
    query_images: Images
    """Shape (ways · queries, channels, height, width)."""
    query_labels: Labels
    """Shape (ways · queries,)."""


def episode(images: ImageSet, ways: int, shots: int, queries: int, rng: np.random.Generator) -> Episode:
    """Draw distinct classes, and of each distinct instances for support and query.

    Args:
        images: The split to draw from.
        ways: Classes.
        shots: Support images a class.
        queries: Query images a class.
        rng: Its state alone determines the draw.

    Raises:
        BadInput: A count is not positive, or the split has too few classes or instances.
    """
    for key, count in (("ways", ways), ("shots", shots), ("queries", queries)):
        if count < 1:
            raise BadInput(f"{key} = {count}: an episode needs at least 1")
    classes, instances, *shape = images.images.shape
    if ways > classes:
        raise BadInput(f"ways = {ways}: the image source has only {classes} classes in this split")
    if shots + queries > instances:
        raise BadInput(f"shots + queries = {shots} + {queries}: the image source has only {instances} images a class")
    chosen = rng.permutation(classes)[:ways, None]
    order = rng.permuted(np.tile(np.arange(instances), (ways, 1)), axis=1)
    support = images.images[chosen, order[:, :shots]]
    query = images.images[chosen, order[:, shots : shots + queries]]
    labels = np.arange(ways, dtype=np.int64)
    return Episode(support.reshape(-1, *shape), labels.repeat(shots), query.reshape(-1, *shape), labels.repeat(queries))
