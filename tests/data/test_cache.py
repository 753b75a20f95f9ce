import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.data.cache import VARIABLE, cached
from harness.data.source import ImageSet
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
    cache.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    builders = [
        subprocess.Popen([sys.executable, "-c", script, f"ready{i}"], cwd=cache, env=environment) for i in range(2)
    ]
    assert [builder.wait(timeout=60) for builder in builders] == [0, 0]
    assert (cache / "builds").read_text() == "built\n"


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
