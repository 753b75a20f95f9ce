"""Folders of image files, one folder a class, as users have them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.data.source import Images
from harness.errors import BadInput


def require_parts(folder: str, parts: Iterable[str], remedy: str) -> None:
    """Raise :class:`BadInput` unless a data set's folder is there, and its parts in it.

    Args:
        folder: As the user named it.
        parts: Names of folders in it.
        remedy: What to do where one of them is absent; ``{part}`` stands for its name.
    """
    if not isinstance(folder, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadInput(f"folder: {folder!r} is not a path")
    if not resolved(folder).is_dir():
        raise BadInput(f"folder: '{folder}': there is no such folder")
    for part in parts:
        if not (resolved(folder) / part).is_dir():
            raise BadInput(f"folder: '{folder}': it has no folder '{part}'; {remedy.format(part=part)}")


def resolved(folder: str) -> Path:
    """The folder a user named, as an absolute path."""
    return Path(folder).expanduser().resolve()


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
