"""The Omniglot data set, from a folder that the user has."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.cache import cached
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
        if not self._root.is_dir():
            raise BadInput(f"folder = '{self.folder}' of the image source 'omniglot': there is no such folder")
        for part in PARTS.values():
            if not (self._root / part).is_dir():
                raise BadInput(
                    f"folder = '{self.folder}' of the image source 'omniglot': it has no folder '{part}'; unpack "
                    f"{part}.zip of Omniglot there"
                )

    def load(self, split: Split) -> ImageSet:
        """The characters of one split, called ALPHABET/CHARACTER, in the order of their names.

        The first time, the images are read one by one; then from the cache, while the files stay as they are.

        Raises:
            BadInput: There are no characters, or they differ in their number of images, or a file is not a PNG image,
                or the cache folder cannot be written.
        """
        characters = _characters(self._root / PARTS[split])
        return cached(f"omniglot-v{FORMAT}-{_digest(characters)}", lambda: _build(characters))

    @property
    def _root(self) -> Path:
        return Path(self.folder).expanduser().resolve()


def _characters(part: Path) -> dict[str, list[Path]]:
    """The image files of each character."""
    characters = {
        f"{alphabet.name}/{character.name}": [file for file in _sorted(character) if file.suffix == ".png"]
        for alphabet in _sorted(part)
        if alphabet.is_dir()
        for character in _sorted(alphabet)
        if character.is_dir()
    }
    if not any(characters.values()):
        raise BadInput(f"{part} has no characters: expected image files ALPHABET/CHARACTER/*.png in it")
    expected, *others = characters
    for name in others:
        if len(characters[name]) != len(characters[expected]):
            raise BadInput(
                f"{part}: {name} has {len(characters[name])} images, but {expected} has {len(characters[expected])}; "
                "all characters need equally many"
            )
    return characters


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.name)


def _digest(characters: Mapping[str, Sequence[Path]]) -> str:
    """Changes with any file's path, size or time of change."""
    digest = hashlib.sha256()
    for files in characters.values():
        for file in files:
            status = file.stat()
            digest.update(f"{file}\n{status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _build(characters: Mapping[str, Sequence[Path]]) -> ImageSet:
    images = np.array([[_image(file) for file in files] for files in characters.values()])
    return ImageSet(images[:, :, None], tuple(characters))


def _image(file: Path) -> Images:
    from PIL import Image

    try:
        with Image.open(file, formats=["PNG"]) as image:
            grey = image.convert("L").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError) as error:
        raise BadInput(f"{file} is not a readable PNG image") from error
    return 255 - np.asarray(grey)
