"""Image sets that are slow to make, kept in the user's cache folder."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path

import numpy as np

from harness.data.source import ImageSet
from harness.errors import BadInput

VARIABLE = "IMAML_BENCH_CACHE"
"""The environment variable that names another cache folder."""


def cached(name: str, build: Callable[[], ImageSet]) -> ImageSet:
    """The image set called ``name``: read from the cache, or built and stored where it is missing or damaged.

    Its file appears whole or not at all, and of several processes that miss it, one builds it while the others wait.

    Args:
        name: File name without suffix; tells apart whatever ``build`` makes different sets of.
        build: Makes the image set.

    Raises:
        BadInput: The image set is not in the cache and the cache folder cannot be written.
    """
    path = _folder() / f"{name}.images"
    images = _read(path)
    if images is None:
        with _locked(path):
            images = _read(path)
            if images is None:
                images = build()
                _write(path, images)
    return images


def _folder() -> Path:
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("imaml-bench")


def _read(path: Path) -> ImageSet | None:
    """The file's image set, unless there is none or its checksum is wrong."""
    try:
        with path.open("rb") as file:
            digest = file.read(sha256().digest_size)
            if digest != file_digest(file, sha256).digest():
                return None
            file.seek(len(digest))
            images, names = np.load(file, allow_pickle=False), np.load(file, allow_pickle=False)
    except OSError:
        return None
    return ImageSet(images, tuple(names.tolist()))


def _write(path: Path, images: ImageSet) -> None:
    stream = BytesIO()
    np.save(stream, images.images, allow_pickle=False)
    np.save(stream, np.array(images.names), allow_pickle=False)
    content = stream.getvalue()
    partial = path.with_suffix(".partial")
    with _complaining(path.parent):
        partial.write_bytes(sha256(content).digest() + content)
        partial.replace(path)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    from filelock import FileLock

    with _complaining(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path.with_suffix(".lock")).acquire()
    with held:
        yield


@contextmanager
def _complaining(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"cannot write to the cache folder {folder} ({error.strerror or error}): set {VARIABLE} to a folder that "
            "can be written"
        ) from error
