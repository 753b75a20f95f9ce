"""Letters and numbers of many scripts in many hands: few-shot images like Omniglot's, with nothing to download."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.checks import require_seed
from harness.data.cache import cached
from harness.data.characters import distinct, in_split, name
from harness.data.drawing import WORDS, between, draw, plain_hands, random_hands
from harness.data.fonts import faces
from harness.data.outlines import Outlines, codepoints, join, read_outlines
from harness.data.raster import SIZE
from harness.data.source import Images, ImageSet, Split

FORMAT = 1
"""Version of the images.

1: the first.
"""
INSTANCES = 20
"""Images of a class."""
CHUNK = 64
"""Classes drawn at once: bounds the memory."""


@dataclass(frozen=True)
class Glyphs:
    """Characters drawn from the DejaVu fonts that matplotlib ships, each time with another slant, size and weight.

    A class is a character. Its 20 images, 28×28 pixels, ink high, show it in faces chosen at random from those that
    have it. All is computed in whole numbers: a seed gives the same bytes on every machine. Characters that look like
    an earlier one are left out, and no script is in both splits.

    Args:
        seed: Determines how the characters are drawn, not which they are.

    Raises:
        BadInput: The seed is negative.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        require_seed("seed", self.seed)

    def load(self, split: Split) -> ImageSet:
        """The classes of one split in code point order; drawn in seconds the first time, then read from the cache.

        Raises:
            BadInput: The fonts are not the expected ones, or the cache folder cannot be used.
        """
        return cached(f"glyphs-v{FORMAT}-seed{self.seed}-{split}", lambda: _build(split, self.seed))


def _build(split: Split, seed: int) -> ImageSet:
    fonts = faces()
    classes = [character for character in classes_of(fonts) if in_split(character, split)]
    return ImageSet(images_of(classes, fonts, seed), tuple(map(name, classes)))


def classes_of(fonts: Sequence[Path]) -> list[int]:
    """Code points of both splits, in order, without those that look like an earlier one."""
    seen: dict[int, Images] = {}
    for font in fonts:
        new = [c for c in codepoints(font) - seen.keys() if in_split(c, "train") or in_split(c, "test")]
        if new:
            images = draw(read_outlines(font, new), np.arange(len(new)), plain_hands(len(new)))
            seen |= zip(new, images, strict=True)
    characters = sorted(seen)
    return [characters[i] for i in distinct(np.stack([seen[c] for c in characters]))]


def images_of(classes: Sequence[int], fonts: Sequence[Path], seed: int) -> Images:
    """Images of shape (classes, instances, 1, height, width); those of a class depend on it and the seed alone."""
    outlines, glyphs = _read(classes, fonts)
    images = [
        _draw(outlines, glyphs[i : i + CHUNK], [_words(character, seed) for character in classes[i : i + CHUNK]])
        for i in range(0, len(classes), CHUNK)
    ]
    return np.concatenate(images).reshape(len(classes), INSTANCES, 1, SIZE, SIZE)


def _read(classes: Sequence[int], fonts: Sequence[Path]) -> tuple[Outlines, list[NDArray[np.int64]]]:
    """Outlines from all fonts, and for each class the indices of its own among them."""
    parts: list[Outlines] = []
    own: dict[int, list[int]] = {character: [] for character in classes}
    read = 0
    for font in fonts:
        present = sorted(own.keys() & codepoints(font))
        parts.append(read_outlines(font, present))
        for index, character in enumerate(present, start=read):
            own[character].append(index)
        read += len(present)
    return join(parts), [np.array(indices) for indices in own.values()]


def _words(character: int, seed: int) -> NDArray[np.uint64]:
    # Raw words, because a bit generator's stream is fixed for good; that of numpy's distributions is not.
    stream = np.random.PCG64(np.random.SeedSequence([seed, character]))
    return stream.random_raw(INSTANCES * (1 + WORDS)).reshape(INSTANCES, 1 + WORDS)


def _draw(outlines: Outlines, glyphs: list[NDArray[np.int64]], words: list[NDArray[np.uint64]]) -> Images:
    chosen = [own[between(drawn[:, 0], 0, len(own) - 1)] for own, drawn in zip(glyphs, words, strict=True)]
    return draw(outlines, np.concatenate(chosen), random_hands(np.concatenate(words)[:, 1:]))
