"""Folders of image files, one folder a class, as users have them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.data.source import Images
from harness.errors import BadInput


def in_order(folder: Path) -> list[Path]:
    """What is in the folder, by name."""
    return sorted(folder.iterdir(), key=lambda path: path.name)


def require_equal_counts(folder: Path, classes: Mapping[str, Sequence[Path]], kind: str) -> None:
    """Raise :class:`BadInput` unless all classes have as many files as the first; ``kind`` is what they are called."""
    expected, *others = classes
    for name in others:
        if len(classes[name]) != len(classes[expected]):
            raise BadInput(
                f"{folder}: {name} has {len(classes[name])} images, but {expected} has {len(classes[expected])}; "
                f"all {kind} need equally many"
            )


def digest(classes: Mapping[str, Sequence[Path]]) -> str:
    """16 hexadecimal digits that change with any file's path, size or time of change."""
    state = hashlib.sha256()
    for files in classes.values():
        for file in files:
            status = file.stat()
            state.update(f"{file}\n{status.st_size} {status.st_mtime_ns}\n".encode())
    return state.hexdigest()[:16]


def read_image(file: Path, formats: tuple[str, ...], mode: str, size: int) -> Images:
    """An image resized to ``size`` pixels a side with Pillow's Lanczos filter.

    Args:
        file: The image file.
        formats: Pillow's names of those it may have.
        mode: Pillow's name of how pixels are returned: ``L``, shape (size, size), or ``RGB``, shape (size, size, 3).
        size: Pixels of a side.

    Raises:
        BadInput: The file is not a readable image of one of the formats.
    """
    from PIL import Image

    try:
        with Image.open(file, formats=formats) as image:
            return np.asarray(image.convert(mode).resize((size, size), Image.Resampling.LANCZOS))
    except (OSError, SyntaxError) as error:
        raise BadInput(f"{file} is not a readable {' or '.join(formats)} image") from error
