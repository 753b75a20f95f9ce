"""The contract of image sources."""

from typing import get_args

import numpy as np

from harness.conformance.claims import require
from harness.data import ImageSet, ImageSource, Split, episode
from harness.errors import BadInput


def check_image_source(source: ImageSource) -> list[str]:
    """Hold an image source against its contract, on both splits, which are loaded twice.

    Images are uint8 of shape (classes, instances, channels, height, width), of one shape in both splits; each class
    has a name; no class is in both splits; the same are loaded at every call.

    Returns:
        Remarks: that an episode cannot be drawn, say, for want of a second instance.

    Raises:
        AssertionError: The contract is broken; says where.
    """
    splits = {split: _checked_split(source, split) for split in get_args(Split)}
    train, test = splits["train"], splits["test"]
    require(
        train.images.shape[2:] == test.images.shape[2:],
        f"images have shape {train.images.shape[2:]} in train and {test.images.shape[2:]} in test",
    )
    both = sorted(set(train.names) & set(test.names))
    require(not both, f"classes in both splits: {', '.join(both[:3])}")
    remarks: list[str] = []
    for split, images in splits.items():
        try:
            episode(images, 2, 1, 1, np.random.default_rng(0))
        except BadInput as error:
            remarks.append(f"no 2-way 1-shot episode can be drawn from {split}: {error}")
    return remarks


def _checked_split(source: ImageSource, split: Split) -> ImageSet:
    images = source.load(split)
    require(images.images.dtype == np.uint8, f"the images of {split} are {images.images.dtype}, not uint8")
    require(
        images.images.ndim == 5 and images.images.size > 0,
        f"the images of {split} have shape {images.images.shape}, not (classes, instances, channels, height, width)",
    )
    require(
        len(images.names) == len(images.images), f"{split}: {len(images.names)} names for {len(images.images)} classes"
    )
    require(len(set(images.names)) == len(images.names), f"{split}: two classes have the same name")
    again = source.load(split)
    require(
        images.names == again.names and np.array_equal(images.images, again.images),
        f"load('{split}') returns other classes at the second call",
    )
    return images
