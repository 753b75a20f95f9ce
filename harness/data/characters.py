"""Which characters are classes of the glyph data set, and in which split."""

import unicodedata

import numpy as np
from numpy.typing import NDArray

from harness.data.source import Split

SCRIPTS: dict[Split, tuple[str, ...]] = {
    "train": ("ARMENIAN", "COPTIC", "CYRILLIC", "DIGIT", "GEORGIAN", "GREEK", "LATIN", "LISU", "OLD ITALIC"),
    "test": ("ARABIC", "CANADIAN SYLLABICS", "EXTENDED ARABIC", "HEBREW", "LAO", "NKO", "OGHAM", "TIFINAGH"),
}
"""The scripts of each split, as characters' names begin with them. Latin's kin are all in the train split, so that the
test split's shapes are new. Other characters are left out: most are copies of Latin letters in some style.
"""


def in_split(codepoint: int, split: Split) -> bool:
    """Whether this is a letter or number of one of the split's scripts."""
    character = chr(codepoint)
    return unicodedata.category(character)[0] in "LN" and unicodedata.name(character).startswith(SCRIPTS[split])


def name(codepoint: int) -> str:
    """The class's name: the character's, such as "LATIN SMALL LETTER A"."""
    return unicodedata.name(chr(codepoint))


def distinct(images: NDArray[np.uint8]) -> list[int]:
    """Indices of the images that do not look like an earlier one of them.

    Two look alike when their squared difference is at most a tenth of the fainter one's squared ink: A and А, W and w.

    Args:
        images: Shape (count, height, width), at most 1,000 pixels each.
    """
    # Sums of whole numbers below 2²⁴ are exact in float32, in any order.
    flat = (images >> 4).reshape(len(images), -1).astype(np.float32)
    products = (flat @ flat.T).astype(np.int64)
    squares = products.diagonal()
    kept: list[int] = []
    for i in range(len(images)):
        difference = squares[i] + squares[kept] - 2 * products[i, kept]
        if not (10 * difference <= np.minimum(squares[i], squares[kept])).any():
            kept.append(i)
    return kept
