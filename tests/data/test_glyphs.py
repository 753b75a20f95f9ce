import hashlib
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from harness.data import fonts
from harness.data import glyphs as module
from harness.data.characters import SCRIPTS, distinct, in_split
from harness.data.fonts import faces
from harness.data.glyphs import Glyphs, images_of
from harness.data.source import ImageSet, Split
from harness.errors import BadInput
from harness.registry import IMAGE_SOURCES

DIGEST = "04a5a9df26d9405d2db4a433b141a68f4c5b7c572e3dd94c6190b16ad7c7cb59"
"""SHA-256 of seed 0: images and names of the train, then of the test split."""


def test_seed_0_is_the_same_bytes_as_ever(glyphs: dict[Split, ImageSet]):
    digest = hashlib.sha256()
    for images in (glyphs["train"], glyphs["test"]):
        digest.update(images.images.tobytes())
        digest.update("\n".join(images.names).encode())
    assert digest.hexdigest() == DIGEST, (
        "where this is meant, raise FORMAT in harness/data/glyphs.py and pin the new one"
    )


def test_it_is_shaped_like_omniglot(glyphs: dict[Split, ImageSet]):
    train, test = glyphs["train"], glyphs["test"]
    assert train.images.shape == (1477, 20, 1, 28, 28)
    assert test.images.shape == (863, 20, 1, 28, 28)
    for images in (train, test):
        assert images.images.dtype == np.uint8
        assert len(images.names) == len(images.images)
        assert images.images.max(axis=(2, 3, 4)).min() > 100


def test_paper_is_0_and_ink_255(glyphs: dict[Split, ImageSet]):
    images = glyphs["train"].images
    assert not images[..., [0, -1], :].any()
    assert not images[..., [0, -1]].any()
    assert images.max() == 255
    assert 0.1 < images.mean() / 255 < 0.3


def test_glyphs_are_about_as_large_as_the_frame(glyphs: dict[Split, ImageSet]):
    inked = glyphs["test"].images[:, :, 0] > 0
    lines = np.stack([inked.any(axis=2), inked.any(axis=3)])
    longer = (28 - lines.argmax(axis=-1) - lines[..., ::-1].argmax(axis=-1)).max(axis=0)
    assert longer.min() >= 18
    assert longer.max() <= 24


def test_splits_share_no_class_and_no_script(glyphs: dict[Split, ImageSet]):
    pairs: list[tuple[Split, Split]] = [("train", "test"), ("test", "train")]
    for split, other in pairs:
        names = glyphs[split].names
        assert len(set(names)) == len(names)
        assert all(name.startswith(SCRIPTS[split]) and not name.startswith(SCRIPTS[other]) for name in names)


def test_classes_are_letters_and_numbers_in_code_point_order(glyphs: dict[Split, ImageSet]):
    for images in glyphs.values():
        codepoints = [ord(unicodedata.lookup(name)) for name in images.names]
        assert codepoints == sorted(codepoints)
        assert {unicodedata.category(chr(c))[0] for c in codepoints} == {"L", "N"}


def test_look_alikes_are_one_class(glyphs: dict[Split, ImageSet]):
    names = {*glyphs["train"].names, *glyphs["test"].names}
    assert {f"LATIN CAPITAL LETTER {letter}" for letter in "ABW"} <= names
    copies = {"CYRILLIC CAPITAL LETTER A", "GREEK CAPITAL LETTER ALPHA", "LATIN SMALL LETTER W"}
    assert not copies & names


def test_a_class_depends_on_no_other(glyphs: dict[Split, ImageSet]):
    chosen: list[tuple[Split, list[str]]] = [
        ("train", ["LATIN SMALL LETTER R", "CYRILLIC CAPITAL LETTER ZHE"]),
        ("test", ["CANADIAN SYLLABICS E"]),
    ]
    for split, names in chosen:
        indices = [glyphs[split].names.index(name) for name in names]
        alone = images_of([ord(unicodedata.lookup(name)) for name in names], faces(), seed=0)
        assert np.array_equal(alone, glyphs[split].images[indices])


def test_images_of_a_class_differ_and_so_do_seeds():
    first, other = (images_of([ord("R")], faces(), seed) for seed in (0, 1))
    assert len(np.unique(first[0], axis=0)) == 20
    assert not np.array_equal(first, other)


def test_no_face_is_left_out(monkeypatch: pytest.MonkeyPatch):
    chosen: set[int] = set()

    def draw(outlines: object, glyph: np.ndarray, hands: object) -> np.ndarray:
        chosen.update(glyph.tolist())
        return np.zeros((len(glyph), 28, 28), np.uint8)

    monkeypatch.setattr(module, "draw", draw)
    for seed in range(4):
        images_of([ord("R")], faces(), seed)
    assert chosen == set(range(len(fonts.FACES)))


@pytest.mark.usefixtures("glyphs")
def test_what_is_cached_needs_no_fonts(monkeypatch: pytest.MonkeyPatch, glyphs: dict[Split, ImageSet]):
    def absent() -> None:
        raise AssertionError("built although it is cached")

    monkeypatch.setattr(module, "faces", absent)
    again = IMAGE_SOURCES.create("glyphs").load("train")
    assert again.names == glyphs["train"].names
    assert np.array_equal(again.images, glyphs["train"].images)
    with pytest.raises(AssertionError, match="built although"):
        Glyphs(seed=1).load("train")


def test_a_negative_seed_is_bad_input():
    with pytest.raises(BadInput, match=r"^seed: -1 is not a whole number >= 0"):
        Glyphs(seed=-1)


def test_other_fonts_are_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = faces()
    (tmp_path / "fonts" / "ttf").mkdir(parents=True)
    monkeypatch.setattr("matplotlib.get_data_path", lambda: str(tmp_path))
    with pytest.raises(BadInput, match=r"cannot read matplotlib's font .*DejaVuSans\.ttf"):
        faces()
    for path in real:
        (tmp_path / "fonts" / "ttf" / path.name).write_bytes(path.read_bytes())
    assert [path.name for path in faces()] == list(fonts.FACES)
    with (tmp_path / "fonts" / "ttf" / fonts.FACES[3]).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BadInput, match=r"are not version 2\.35"):
        faces()


@pytest.mark.parametrize(
    ("character", "split"),
    [("a", "train"), ("7", "train"), ("Ж", "train"), ("א", "test"), ("ᐁ", "test"), ("٣", "test")],
)
def test_a_character_is_in_the_split_of_its_script(character: str, split: Split):
    assert in_split(ord(character), split)
    assert not in_split(ord(character), "test" if split == "train" else "train")


@pytest.mark.parametrize("character", ["!", " ", "\0", "\u0301", "\u064b", "ᶜ", "𝐀", "½", "\ue000"])
def test_marks_signs_and_styled_letters_are_in_neither(character: str):
    assert not in_split(ord(character), "train")
    assert not in_split(ord(character), "test")


def test_distinct_keeps_the_first_of_those_that_look_alike():
    a, b = np.zeros((2, 28, 28), np.uint8)
    a[5:25, 5:10] = 255
    b[5:10, 5:25] = 255
    almost = a.copy()
    almost[5, 5:10] = 0
    unlike = a.copy()
    unlike[5:9, 5:10] = 0
    assert distinct(np.stack([a, b, almost, b, unlike, a])) == [0, 1, 4]
