import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data import omniglot as module
from harness.data.omniglot import Omniglot
from harness.errors import BadInput
from harness.registry import IMAGE_SOURCES


def write_character(folder: Path, instances: int, column: int) -> None:
    """White images of 105×105 pixels, one bit each, with a black bar 15 pixels wide; instance i has it at the top i."""
    folder.mkdir(parents=True)
    for instance in range(instances):
        paper = np.ones((105, 105), np.bool_)
        paper[: 30 * (instance + 1), column : column + 15] = False
        Image.fromarray(paper).save(folder / f"{instance:04}.png")


@pytest.fixture
def folder(tmp_path: Path, cache: Path) -> Path:
    root = tmp_path / "omniglot"
    for alphabet, character, column in (("Futurama", "b", 15), ("Futurama", "a", 30), ("Atemayar", "a", 45)):
        write_character(root / "images_background" / alphabet / character, 3, column)
    write_character(root / "images_evaluation" / "Ge_ez" / "a", 2, 75)
    return root


def test_characters_are_in_the_order_of_their_names(folder: Path):
    source = IMAGE_SOURCES.create("omniglot", folder=str(folder))
    train, test = source.load("train"), source.load("test")
    assert train.names == ("Atemayar/a", "Futurama/a", "Futurama/b")
    assert train.images.shape == (3, 3, 1, 28, 28)
    assert test.names == ("Ge_ez/a",)
    assert test.images.shape == (1, 2, 1, 28, 28)
    assert train.images.dtype == test.images.dtype == np.uint8


def test_ink_is_high_and_each_image_is_its_files(folder: Path):
    images = Omniglot(str(folder)).load("train").images[:, :, 0]
    # 105 pixels to 28: a bar at column 15 c covers columns 4 c to 4 c + 3.
    for character, column in enumerate((12, 8, 4)):
        bars = images[character, :, :, column + 1 : column + 3]
        assert [int((bar > 128).all(axis=1).sum()) for bar in bars] == [8, 16, 24]
        assert bars[:, :7].min() > 240
        elsewhere = np.delete(images[character], range(column - 2, column + 6), axis=-1)
        assert elsewhere.max() < 15


def test_images_are_resized_with_the_lanczos_filter(folder: Path):
    file = folder / "images_background" / "Atemayar" / "a" / "0000.png"
    noise = Image.fromarray(np.random.default_rng(0).random((105, 105)) < 0.5)
    noise.save(file)
    paper = np.asarray(noise.convert("L").resize((28, 28), Image.Resampling.LANCZOS))
    assert np.array_equal(Omniglot(str(folder)).load("train").images[0, 0, 0], 255 - paper)


def test_files_are_read_once_while_they_stay_as_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch):
    first = Omniglot(str(folder)).load("train")

    def unwanted(file: Path) -> None:
        raise AssertionError("read although it is cached")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_image", unwanted)
        again = Omniglot(str(folder / ".." / "omniglot")).load("train")
        assert np.array_equal(again.images, first.images)
        with pytest.raises(AssertionError, match="read although"):
            Omniglot(str(folder)).load("test")


def test_a_changed_file_is_read_again(folder: Path):
    first = Omniglot(str(folder)).load("train").images
    changed = folder / "images_background" / "Futurama" / "a" / "0000.png"
    status = changed.stat()
    content = (folder / "images_background" / "Futurama" / "b" / "0000.png").read_bytes()
    changed.write_bytes(content.ljust(status.st_size, b"\0"))
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert changed.stat().st_size == status.st_size
    images = Omniglot(str(folder)).load("train").images
    assert np.array_equal(images[1, 0], first[2, 0])
    assert not np.array_equal(images[1, 0], first[1, 0])


def test_other_files_are_passed_over(folder: Path):
    alphabet = folder / "images_background" / "Futurama"
    for place in (folder, alphabet.parent, alphabet, alphabet / "a"):
        (place / "README.txt").write_text("about")
    assert Omniglot(str(folder)).load("train").images.shape == (3, 3, 1, 28, 28)


def test_an_absent_folder_is_bad_input(tmp_path: Path):
    with pytest.raises(BadInput, match=r"^folder: '.*nowhere': there is no such folder"):
        Omniglot(str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match=r"^folder: 5 is not a path"):
        Omniglot(5)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("part", ["images_background", "images_evaluation"])
def test_an_absent_part_is_bad_input(folder: Path, part: str):
    shutil.rmtree(folder / part)
    with pytest.raises(BadInput, match=f"it has no folder '{part}'"):
        Omniglot(str(folder))


@pytest.mark.parametrize("leave", ["nothing", "an empty character"])
def test_a_part_without_characters_is_bad_input(folder: Path, leave: str):
    part = folder / "images_background"
    shutil.rmtree(part)
    part.mkdir()
    if leave == "an empty character":
        (part / "Futurama" / "a").mkdir(parents=True)
    with pytest.raises(BadInput, match="images_background has no characters"):
        Omniglot(str(folder)).load("train")


def test_characters_with_unequal_counts_are_bad_input(folder: Path):
    (folder / "images_background" / "Futurama" / "a" / "0001.png").unlink()
    with pytest.raises(BadInput, match="Futurama/a has 2 images, but Atemayar/a has 3"):
        Omniglot(str(folder)).load("train")


@pytest.mark.parametrize("damage", ["text", "cut off", "another format"])
def test_a_file_that_is_no_png_image_is_bad_input(folder: Path, damage: str):
    file = folder / "images_background" / "Futurama" / "a" / "0001.png"
    if damage == "text":
        file.write_text("not an image")
    elif damage == "cut off":
        file.write_bytes(file.read_bytes()[:60])
    else:
        Image.new("L", (105, 105)).save(file, format="BMP")
    with pytest.raises(BadInput, match=r"Futurama/a/0001\.png is not a readable PNG image"):
        Omniglot(str(folder)).load("train")
