"""The Omniglot data set, from a folder that the user has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.cache import cached
from harness.data.folders import digest, in_order, read_image, require_equal_counts, require_parts, resolved
from harness.data.source import Images, ImageSet, Split
from harness.errors import BadInput

FORMAT = 1
"""Version of the images as they are cached.

1: the first.
"""
PARTS: dict[Split, str] = {"train": "images_background", "test": "images_evaluation"}
SIZE = 28
"""Pixels of an image's side."""


@dataclass(frozen=True)
class Omniglot:
    """Handwritten characters of 50 alphabets, 20 images of each.

    Every image is resized to 28×28 grey pixels with Pillow's Lanczos filter and inverted, so that ink is high. The
    splits are the data set's own: its background set to train, its evaluation set to test.

    Args:
        folder: Holds ``images_background`` and ``images_evaluation``, each with ``ALPHABET/CHARACTER/*.png``.

    Raises:
        BadInput: The folder or one of its parts is absent.
    """

    folder: str

    def __post_init__(self) -> None:
        require_parts(self.folder, PARTS.values(), "unpack {part}.zip of Omniglot there")

    def load(self, split: Split) -> ImageSet:
        """The characters of one split, called ALPHABET/CHARACTER, in the order of their names.

        The first time, the images are read one by one; then from the cache, while the files stay as they are.

        Raises:
            BadInput: There are no characters, or they differ in their number of images, or a file is not a PNG image,
                or the cache folder cannot be written.
        """
        characters = _characters(resolved(self.folder) / PARTS[split])
        return cached(f"omniglot-v{FORMAT}-{digest(characters)}", lambda: _build(characters))


def _characters(part: Path) -> dict[str, list[Path]]:
    """The image files of each character."""
    characters = {
        f"{alphabet.name}/{character.name}": [file for file in in_order(character) if file.suffix == ".png"]
        for alphabet in in_order(part)
        if alphabet.is_dir()
        for character in in_order(alphabet)
        if character.is_dir()
    }
    if not any(characters.values()):
        raise BadInput(f"{part} has no characters: expected image files ALPHABET/CHARACTER/*.png in it")
    require_equal_counts(part, characters, "characters")
    return characters


def _build(characters: Mapping[str, Sequence[Path]]) -> ImageSet:
    images = np.array([[_image(file) for file in files] for files in characters.values()])
    return ImageSet(images[:, :, None], tuple(characters))


def _image(file: Path) -> Images:
    return 255 - read_image(file, ("PNG",), "L", SIZE)
