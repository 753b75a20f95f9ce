"""Names for a report's files: readable, safe, and never two that a file system takes for one."""

import unicodedata
from collections.abc import Iterable

WORDS_BYTES = 80
"""Longest text in a name: with a figure's kind, two texts and an ending it stays below the 255 bytes of a file name."""


def slug(text: str) -> str:
    """``text`` after a hyphen, in letters and digits of any script, in lower case; empty where it has none."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (each if each == "." or unicodedata.category(each)[0] in "LMN" else " " for each in folded)
    words = "-".join("".join(kept).split()).strip("-.")
    cut = words.encode()[:WORDS_BYTES].decode(errors="ignore")
    return f"-{cut}".rstrip("-.")


class FileNames:
    """The names given out for one folder."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, wanted: str) -> str:
        """``wanted``, or with a number behind it where it is taken, whatever the case or form of its letters."""
        candidate, count = wanted, 1
        while _identity(candidate) in self._taken:
            count += 1
            candidate = f"{wanted}-{count}"
        self._taken.add(_identity(candidate))
        return candidate

    def all_unique(self, wanted: Iterable[str]) -> list[str]:
        """:meth:`unique` of each."""
        return [self.unique(each) for each in wanted]


def _identity(name: str) -> str:
    """The same for names that some file system does not tell apart."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
