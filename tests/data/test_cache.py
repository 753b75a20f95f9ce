import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from harness.data.cache import VARIABLE, cached, mapped
from harness.data.source import Images, ImageSet
from harness.errors import BadInput


def small() -> ImageSet:
    return ImageSet(np.arange(24, dtype=np.uint8).reshape(2, 3, 1, 2, 2), ("А", "Σίγμα"))


def unwanted() -> ImageSet:
    raise AssertionError("built although it is cached")


def assert_same(images: ImageSet, expected: ImageSet) -> None:
    assert images.names == expected.names
    assert images.images.dtype == np.uint8
    assert np.array_equal(images.images, expected.images)


def test_builds_once_then_reads(cache: Path):
    assert_same(cached("one", small), small())
    assert_same(cached("one", unwanted), small())
    assert [path.name for path in cache.glob("*.images")] == ["one.images"]


def test_names_are_kept_apart(cache: Path):
    cached("one", small)
    with pytest.raises(AssertionError, match="built although"):
        cached("other", unwanted)


def test_a_failed_build_leaves_nothing(cache: Path):
    with pytest.raises(AssertionError, match="built although"):
        cached("one", unwanted)
    assert not list(cache.glob("*.images"))
    assert_same(cached("one", small), small())


def test_any_damage_is_noticed_and_mended(cache: Path):
    cached("one", small)
    path = cache / "one.images"
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 16)]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(0, len(whole), 16)]
    damaged += [whole + b"\0", bytes(len(whole))]
    for content in damaged:
        path.write_bytes(content)
        assert_same(cached("one", small), small())
        assert path.read_bytes() == whole


def test_a_half_written_file_is_not_taken_for_the_whole(cache: Path):
    cached("one", small)
    path = cache / "one.images"
    content = path.read_bytes()
    path.unlink()
    path.with_suffix(".partial").write_bytes(content[: len(content) // 2])
    assert_same(cached("one", small), small())
    assert path.read_bytes() == content
    assert not path.with_suffix(".partial").exists()


def builds_of_two_processes(script: str, cache: Path) -> list[str]:
    """Lines of the file "builds" after two processes have run the script side by side."""
    cache.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    builders = [
        subprocess.Popen([sys.executable, "-c", script, f"ready{i}"], cwd=cache, env=environment) for i in range(2)
    ]
    assert [builder.wait(timeout=60) for builder in builders] == [0, 0]
    return (cache / "builds").read_text().splitlines()


def test_two_processes_build_once(cache: Path):
    script = """
import sys, time
from pathlib import Path
import numpy as np
from harness.data.cache import cached
from harness.data.source import ImageSet

def build():
    with Path("builds").open("a") as log:
        log.write("built\\n")
    time.sleep(0.3)
    return ImageSet(np.full((1, 1, 1, 2, 2), 7, np.uint8), ("seven",))

Path(sys.argv[1]).touch()
while not (Path("ready0").exists() and Path("ready1").exists()):
    time.sleep(0.01)
images = cached("shared", build)
assert images.names == ("seven",)
assert (images.images == 7).all()
"""
    assert builds_of_two_processes(script, cache) == ["built"]


def test_an_unusable_folder_is_bad_input_that_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(BadInput, match=f"cannot write to the cache folder .*file/cache .*set {VARIABLE}"):
        cached("one", small)


def test_a_full_disk_is_bad_input(cache: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match="No space left on device"):
        cached("one", small)


def test_the_folder_is_the_users_cache_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    cached("one", small)
    assert (tmp_path / "imaml-bench" / "one.images").is_file()


SHAPE = (2, 3, 1, 2, 2)


def by_class() -> Iterable[Images]:
    return iter(small().images)


def never() -> Iterable[Images]:
    raise AssertionError("built although it is cached")


def test_mapped_images_are_those_built_once_and_stay_on_the_disk(cache: Path):
    for build in (by_class, never):
        images = mapped("one", SHAPE, build)
        assert isinstance(images, np.memmap)
        assert images.filename == cache / "one.npy"
        assert not images.flags.writeable
        assert images.dtype == np.uint8
        assert np.array_equal(images, small().images)
    assert not list(cache.glob("*.partial"))


def test_mapped_images_need_not_be_contiguous_when_built(cache: Path):
    turned = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2, 1)
    assert np.array_equal(mapped("one", SHAPE, lambda: iter(turned.transpose(0, 1, 4, 2, 3))), small().images)


def test_classes_are_written_as_they_come(cache: Path):
    def watched() -> Iterable[Images]:
        for images in np.zeros((4, 500, 3, 30, 30), np.uint8):
            yield images
            sizes.append((cache / "one.partial").stat().st_size // images.nbytes)

    sizes: list[int] = []
    mapped("one", (4, 500, 3, 30, 30), watched)
    assert sizes == [1, 2, 3, 4]


def test_a_mapped_file_of_another_length_or_shape_is_built_anew(cache: Path):
    mapped("one", SHAPE, by_class)
    path = cache / "one.npy"
    whole = path.read_bytes()
    for content in (b"", whole[:6], whole[:60], whole[:-1], b"damaged" + whole[7:]):
        path.write_bytes(content)
        assert np.array_equal(mapped("one", SHAPE, by_class), small().images)
        assert path.read_bytes() == whole
    with pytest.raises(AssertionError, match="built although"):
        mapped("one", (2, 3, 1, 4, 1), never)
    np.save(path, small().images.astype(np.int8))
    with pytest.raises(AssertionError, match="built although"):
        mapped("one", SHAPE, never)


def test_a_mapped_build_that_breaks_off_leaves_nothing(cache: Path):
    def broken() -> Iterable[Images]:
        yield small().images[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mapped("one", SHAPE, broken)
    assert not (cache / "one.npy").exists()
    assert np.array_equal(mapped("one", SHAPE, by_class), small().images)


def test_two_processes_map_one_build(cache: Path):
    """The one that waited reads what the other built."""
    script = """
import sys, time
from pathlib import Path
import numpy as np
from harness.data.cache import mapped

def build():
    with Path("builds").open("a") as log:
        log.write("built\\n")
    time.sleep(0.3)
    yield np.full((1, 1, 2, 2), 7, np.uint8)

Path(sys.argv[1]).touch()
while not (Path("ready0").exists() and Path("ready1").exists()):
    time.sleep(0.01)
assert (mapped("shared", (1, 1, 1, 2, 2), build) == 7).all()
"""
    assert builds_of_two_processes(script, cache) == ["built"]


def test_no_room_for_mapped_images_is_bad_input(cache: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BadInput, match="No space left on device"):
        mapped("one", SHAPE, by_class)
    assert not (cache / "one.npy").exists()
