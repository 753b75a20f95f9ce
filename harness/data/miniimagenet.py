"""The mini-ImageNet data set, from a folder that the user has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from harness.data.cache import mapped
from harness.data.folders import digest, in_order, read_image, require_equal_counts, require_parts, resolved
from harness.data.source import Images, ImageSet, Split
from harness.errors import BadInput

FORMAT = 1
"""Version of the images as they are cached.

1: the first.
"""
SUFFIXES = (".jpg", ".jpeg", ".png")
SIZE = 84
"""Pixels of an image's side."""


@dataclass(frozen=True)
class MiniImageNet:
    """Photographs of 64 classes to train and 20 to test, 600 of each (Vinyals et al. 2016; Ravi & Larochelle 2017).

    Every image is resized to 84×84 with Pillow's Lanczos filter, whatever its proportions, and has the channels red,
    green and blue. The classes of each split are those in its folder.

    The decoded images of the training split are 813 MB, of which a task needs a few: they are kept uncompressed in
    the cache folder and mapped into memory, not read.

    Args:
        folder: Holds ``train`` and ``test``, each with ``CLASS/*.jpg`` or ``.png``; anything else is passed over.

    Raises:
        BadInput: The folder or one of its parts is absent.
    """

    folder: str

    def __post_init__(self) -> None:
        require_parts(self.folder, get_args(Split), "expected image files {part}/CLASS/*.jpg in it")

    def load(self, split: Split) -> ImageSet:
        """The classes of one split in the order of their names; the images are a read-only memory map.

        The first time, the images are decoded one by one, which can take minutes; then they are in the cache, while the
        files stay as they are.

        Raises:
            BadInput: There are no classes, or they differ in their number of images, or a file is not a JPEG or PNG
                image, or the cache folder cannot be written.
        """
        classes = _classes(resolved(self.folder) / split)
        shape = (len(classes), len(next(iter(classes.values()))), 3, SIZE, SIZE)
        images = mapped(f"miniimagenet-v{FORMAT}-{digest(classes)}", shape, lambda: _build(classes))
        return ImageSet(images, tuple(classes))


def _classes(part: Path) -> dict[str, list[Path]]:
    """The image files of each class."""
    classes = {
        folder.name: [file for file in in_order(folder) if file.suffix.lower() in SUFFIXES]
        for folder in in_order(part)
        if folder.is_dir()
    }
    if not any(classes.values()):
        raise BadInput(f"{part} has no classes: expected image files CLASS/*.jpg in it")
    require_equal_counts(part, classes, "classes")
    return classes


def _build(classes: Mapping[str, Sequence[Path]]) -> Iterable[Images]:
    """The images of one class after another, shape (instances, 3, height, width)."""
    for files in classes.values():
        yield np.stack([_image(file) for file in files]).transpose(0, 3, 1, 2)


def _image(file: Path) -> Images:
    return read_image(file, ("JPEG", "PNG"), "RGB", SIZE)
