"""Image sets that are slow to make, kept in the user's cache folder."""

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path

import numpy as np

from harness.data.source import Images, ImageSet
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


def mapped(name: str, shape: tuple[int, ...], build: Callable[[], Iterable[Images]]) -> Images:
    """Images too many to read whole in every process: read-only, and read from the disk where they are used.

    Like :func:`cached`, the file appears whole or not at all, here after it has reached the disk, and is built once.
    From then on only its header and length are checked, because a checksum would read all of it: bytes that change on
    the disk later go unnoticed until the file is deleted.

    Args:
        name: File name without suffix; tells apart whatever ``build`` makes different images of.
        shape: (classes, instances, channels, height, width).
        build: Makes the images of one class after another, so that no more than these are ever in memory.

    Raises:
        BadInput: The images are not in the cache and the cache folder cannot be written.
    """
    path = _folder() / f"{name}.npy"
    images = _map(path, shape)
    if images is None:
        with _locked(path):
            images = _map(path, shape)
            if images is None:
                _write_by_class(path, shape, build())
                images = np.load(path, mmap_mode="r")
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


def _map(path: Path, shape: tuple[int, ...]) -> Images | None:
    """The file's images, unless there is none or it has another shape or length."""
    try:
        images = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _write_by_class(path: Path, shape: tuple[int, ...], classes: Iterable[Images]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    partial = path.with_suffix(".partial")
    with _complaining(path.parent):
        with partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for images in classes:
                file.write(images.tobytes())
            file.flush()
            os.fsync(file.fileno())
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
