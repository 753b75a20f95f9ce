"""The font files that glyphs are drawn from: the DejaVu faces that matplotlib ships."""

import hashlib
from pathlib import Path

from harness.errors import BadInput

FACES = tuple(
    f"DejaVu{family}.ttf"
    for family in (
        *("Sans", "Sans-Bold", "Sans-Oblique", "Sans-BoldOblique"),
        *("SansMono", "SansMono-Bold", "SansMono-Oblique", "SansMono-BoldOblique"),
        *("Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic"),
    )
)

DIGEST = "16babe5c0753da54aeeea137816d6f96e5c7c2cb606e2973064f5fe7922d4261"
"""SHA-256 of the files one after another: DejaVu 2.35, in matplotlib from 3.8 on at least."""


def faces() -> list[Path]:
    """The font files, in the order of :data:`FACES`.

    Raises:
        BadInput: A file is absent, or they are not the ones whose glyphs every machine has.
    """
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    paths = [folder / face for face in FACES]
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise BadInput(f"cannot read matplotlib's font {path} ({error.strerror}): reinstall matplotlib") from error
    if digest.hexdigest() != DIGEST:
        raise BadInput(
            f"the DejaVu fonts in {folder} are not version 2.35 as the image source 'glyphs' needs them, so its images "
            "would differ from other machines': install matplotlib 3.8 to 3.11 from PyPI"
        )
    return paths
