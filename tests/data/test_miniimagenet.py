import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from harness.data import miniimagenet as module
from harness.data.miniimagenet import MiniImageNet
from harness.data.source import episode
from harness.errors import BadInput
from harness.registry import IMAGE_SOURCES

COLOURS = {"n01": (250, 10, 20), "n02": (30, 240, 40), "n03": (50, 60, 230), "n09": (200, 200, 0)}


def picture(name: str, instance: int, size: tuple[int, int] = (84, 84)) -> NDArray[np.uint8]:
    """One colour, with a white stripe at the top, the taller the later the instance."""
    width, height = size
    pixels = np.full((height, width, 3), COLOURS[name], np.uint8)
    pixels[: height * (instance + 1) // 6] = 255
    return pixels


@pytest.fixture
def folder(tmp_path: Path, cache: Path) -> Path:
    """Train: a class of JPEG, one of PNG and one of larger images; test: one class; val, which nothing reads."""
    root = tmp_path / "mini"
    kinds = {"n02": ("jpg", (84, 84)), "n01": ("png", (84, 84)), "n03": ("JPEG", (500, 375)), "n09": ("jpg", (84, 84))}
    for name, (suffix, size) in kinds.items():
        place = root / ("test" if name == "n09" else "train") / name
        place.mkdir(parents=True)
        for instance in range(2 if name == "n09" else 3):
            Image.fromarray(picture(name, instance, size)).save(place / f"{name}{instance:04}.{suffix}", quality=95)
    (root / "val" / "n10").mkdir(parents=True)
    return root


def test_classes_are_in_the_order_of_their_names(folder: Path):
    source = IMAGE_SOURCES.create("miniimagenet", folder=str(folder))
    train, test = source.load("train"), source.load("test")
    assert train.names == ("n01", "n02", "n03")
    assert train.images.shape == (3, 3, 3, 84, 84)
    assert test.names == ("n09",)
    assert test.images.shape == (1, 2, 3, 84, 84)
    assert train.images.dtype == test.images.dtype == np.uint8


def test_each_image_is_its_files_in_red_green_and_blue(folder: Path):
    train = MiniImageNet(str(folder)).load("train")
    for images, name in zip(train.images, train.names, strict=True):
        for instance, image in enumerate(images):
            expected = picture(name, instance).transpose(2, 0, 1).astype(int)
            apart = np.abs(image - expected)
            assert apart[:, : 14 * instance + 11].max() <= 6
            assert apart[:, 14 * instance + 18 :].max() <= 6
    assert np.array_equal(train.images[0, 1], picture("n01", 1).transpose(2, 0, 1))


def test_larger_images_are_resized_with_the_lanczos_filter(folder: Path):
    file = folder / "train" / "n01" / "n010000.png"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8))
    noise.save(file)
    expected = np.asarray(noise.resize((84, 84), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    assert np.array_equal(MiniImageNet(str(folder)).load("train").images[0, 0], expected)


def test_grey_and_transparent_images_become_colour_images(folder: Path):
    place = folder / "train" / "n01"
    Image.new("L", (84, 84), 77).save(place / "n010000.png")
    Image.new("RGBA", (84, 84), (1, 2, 3, 255)).save(place / "n010001.png")
    grey, transparent, _ = MiniImageNet(str(folder)).load("train").images[0]
    assert (grey == 77).all()
    assert (transparent == np.array([1, 2, 3])[:, None, None]).all()


def test_files_are_decoded_once_and_mapped_while_they_stay_as_they_are(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    first = MiniImageNet(str(folder)).load("train")

    def unwanted(file: Path) -> None:
        raise AssertionError("read although it is cached")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_image", unwanted)
        again = MiniImageNet(str(folder / ".." / "mini")).load("train")
        assert isinstance(again.images, np.memmap)
        assert np.array_equal(again.images, first.images)
        with pytest.raises(AssertionError, match="read although"):
            MiniImageNet(str(folder)).load("test")


def test_a_changed_file_is_read_again(folder: Path):
    first = np.array(MiniImageNet(str(folder)).load("train").images)
    changed = folder / "train" / "n02" / "n020000.jpg"
    status = changed.stat()
    Image.fromarray(picture("n02", 5)).save(changed)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    images = MiniImageNet(str(folder)).load("train").images
    assert not np.array_equal(images[1, 0], first[1, 0])
    assert np.array_equal(images[[0, 2]], first[[0, 2]])


def test_an_episode_is_a_copy_of_its_own(folder: Path):
    images = MiniImageNet(str(folder)).load("train")
    drawn = episode(images, ways=3, shots=1, queries=2, rng=np.random.default_rng(0))
    assert drawn.support_images.shape == (3, 3, 84, 84)
    assert drawn.query_images.shape == (6, 3, 84, 84)
    drawn.support_images[:] = 0
    assert images.images.min(axis=(2, 3, 4)).max() > 0


def test_other_files_are_passed_over(folder: Path):
    for place in (folder, folder / "train", folder / "train" / "n01"):
        (place / "train.csv").write_text("filename,label")
    assert MiniImageNet(str(folder)).load("train").images.shape == (3, 3, 3, 84, 84)


def test_an_absent_folder_is_bad_input(tmp_path: Path):
    with pytest.raises(BadInput, match=r"^folder: '.*nowhere': there is no such folder"):
        MiniImageNet(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_absent_part_is_bad_input(folder: Path, part: str):
    shutil.rmtree(folder / part)
    with pytest.raises(BadInput, match=f"it has no folder '{part}'; expected image files {part}/CLASS"):
        MiniImageNet(str(folder))


@pytest.mark.parametrize("leave", ["nothing", "an empty class", "files without classes"])
def test_a_part_without_classes_is_bad_input(folder: Path, leave: str):
    part = folder / "train"
    moved = part / "n01" / "n010000.png"
    content = moved.read_bytes()
    shutil.rmtree(part)
    part.mkdir()
    if leave == "an empty class":
        (part / "n01").mkdir()
    elif leave == "files without classes":
        (part / moved.name).write_bytes(content)
    with pytest.raises(BadInput, match="train has no classes: expected image files CLASS"):
        MiniImageNet(str(folder)).load("train")


def test_classes_with_unequal_counts_are_bad_input(folder: Path):
    (folder / "train" / "n03" / "n030001.JPEG").unlink()
    with pytest.raises(BadInput, match="n03 has 2 images, but n01 has 3; all classes need equally many"):
        MiniImageNet(str(folder)).load("train")


@pytest.mark.parametrize("damage", ["text", "cut off", "another format"])
def test_a_file_that_is_no_image_is_bad_input(folder: Path, cache: Path, damage: str):
    file = folder / "train" / "n02" / "n020001.jpg"
    if damage == "text":
        file.write_text("not an image")
    elif damage == "cut off":
        file.write_bytes(file.read_bytes()[:400])
    else:
        Image.new("RGB", (84, 84)).save(file, format="BMP")
    with pytest.raises(BadInput, match=r"n02/n020001\.jpg is not a readable JPEG or PNG image"):
        MiniImageNet(str(folder)).load("train")
    assert not list(cache.glob("*.npy"))
