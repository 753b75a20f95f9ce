"""Fonts cut down to what figures are written with, so that embedding one in a PDF takes a tenth of the time."""

import atexit
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont, TTLibError
from matplotlib.font_manager import FontEntry, FontProperties, fontManager

_UNUSED = ("GSUB", "GPOS", "GDEF", "MATH", "FFTM", "kern")
"""Tables of layout rules: large, and gone through anew for every file that a font is embedded in."""
_LETTERS = (*range(0x20, 0x17F), *range(0x370, 0x400), *range(0x1D00, 0x1DBF), *range(0x2000, 0x2300))
"""Latin, Greek, superscripts, punctuation and signs of mathematics."""


@cache
def light(family: str) -> str:
    """Name of a family with the most used letters of ``family`` alone; ``family`` itself where that cannot be.

    The letters and their metrics are the same.
    """
    name = f"{family} (light)"
    found = Path(fontManager.findfont(FontProperties(family=[family])))
    try:
        font = TTFont(found, lazy=True, recalcTimestamp=False)
    except TTLibError:
        return family
    with font:
        for table in _UNUSED:
            if table in font:
                del font[table]
        letters = Subsetter(Options(glyph_names=True, notdef_outline=True, hinting=False))
        letters.populate(unicodes=_LETTERS)
        letters.subset(font)
        copy = _folder() / found.name
        font.save(copy)
    fontManager.ttflist.append(FontEntry(fname=str(copy), name=name, weight=400, stretch="normal", size="scalable"))
    return name


@cache
def _folder() -> Path:
    """Of this process, and gone with it.

    No ``TemporaryDirectory``: since Python 3.13 a fork of multiprocessing drops the exit handlers it was born with, and
    such an object, with no other reference left, would remove in the fork what the parent draws with.
    """
    folder = mkdtemp(prefix="imaml-bench-fonts-")
    atexit.register(rmtree, folder, ignore_errors=True)
    return Path(folder)
