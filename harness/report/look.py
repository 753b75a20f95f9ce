"""What all figures of a report have in common: their width, font and resolution."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import seaborn
from matplotlib.font_manager import fontManager
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.errors import BadInput, unknown
from harness.report.fonts import light

WIDTHS = {"column": 3.3, "text": 7.2}
"""Inches of a paper's column, and of its text where that is in two columns."""
FONTS = {"sans": ("DejaVu Sans",), "serif": ("STIXGeneral", "DejaVu Serif")}
"""They come with matplotlib: the same figure on every machine. The second has the letters that the first lacks."""
BASE_POINTS = 8.0
"""Font size for which lengths are given."""


def _inches(width: object) -> object:
    return WIDTHS.get(width, width) if isinstance(width, str) else width


class Look(BaseModel):
    """The table of a style file; what it leaves out is as in the default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    width: Annotated[float, BeforeValidator(_inches), Field(ge=2.5, le=30)] = WIDTHS["text"]
    """In inches; ``column`` or ``text`` in a file."""
    font: str = "sans"
    """``sans``, ``serif`` or the name of an installed family."""
    font_size: Annotated[float, Field(ge=4, le=40)] = BASE_POINTS
    """In points; lines, marks and margins grow with it."""
    dpi: Annotated[int, Field(ge=50, le=1200)] = 160
    """Dots per inch of the PNG."""
    heading: bool = True
    """Whether the setting stands above the panels, and not in the caption alone."""
    page: Literal["white", "transparent"] = "white"
    """The background."""

    @property
    def scale(self) -> float:
        """What lengths given for the base font size are multiplied with."""
        return self.font_size / BASE_POINTS

    @property
    def families(self) -> tuple[str, ...]:
        """Font families, in the order in which a letter is looked for."""
        return FONTS.get(self.font, (self.font, *FONTS["sans"]))


DEFAULT = Look()
LOOKS = {
    "default": DEFAULT,
    "paper": Look(width=WIDTHS["column"], font="serif", dpi=300, heading=False),
    "slides": Look(width=10.0, font_size=15.0, dpi=120, heading=False),
}


def find_look(style: str) -> Look:
    """The look of a name, or of a TOML file given by a path (ends in ``.toml`` or has a separator).

    Raises:
        BadInput: No such name or file, or a key or value in it that no look has.
    """
    if not style.endswith(".toml") and "/" not in style:
        if style not in LOOKS:
            raise unknown("style", style, LOOKS)
        return LOOKS[style]
    try:
        look = Look.model_validate(tomllib.loads(Path(style).read_text("utf-8-sig")))
    except OSError as error:
        raise BadInput(f"{style}: cannot be read as a style file: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{style}: {error}") from error
    except ValidationError as error:
        raise BadInput(f"{style}: {_explained(error)}") from error
    installed = {entry.name for entry in fontManager.ttflist} | FONTS.keys()
    if look.font not in installed:
        raise BadInput(f"{style}: font: {look.font!r} is not installed; 'sans' and 'serif' are always there")
    return look


def parameters(look: Look = DEFAULT) -> dict[str, Any]:
    """Matplotlib's settings for all figures. Text is drawn as it is, never read as mathematics."""
    points = look.font_size
    return {
        **_base(),
        "font.family": [*map(light, look.families), look.families[-1]],
        "font.size": points,
        "axes.titlesize": points * 1.06,
        "axes.labelsize": points,
        "xtick.labelsize": points * 0.94,
        "ytick.labelsize": points * 0.94,
        "legend.fontsize": points * 0.97,
        **{name: value * look.scale for name, value in _LENGTHS.items()},
        "axes.edgecolor": "0.25",
        "axes.labelcolor": "0.1",
        "axes.axisbelow": True,
        "xtick.color": "0.25",
        "ytick.color": "0.25",
        "xtick.labelcolor": "0.1",
        "ytick.labelcolor": "0.1",
        "grid.color": "0.9",
        "figure.facecolor": "white" if look.page == "white" else "none",
        "axes.facecolor": "none",
        "axes.titley": 1.0,  # not to be found by measuring what lies below
        "text.parse_math": False,
        "svg.hashsalt": "imaml-bench",
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
    }


_LENGTHS = {
    **{
        "axes.linewidth": 0.7,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.4,
        "axes.titlepad": 5.0,
        "axes.labelpad": 3.0,
    },
    **{
        f"{axis}tick.major.{name}": value
        for axis in "xy"
        for name, value in (("size", 3.0), ("width", 0.7), ("pad", 3.0))
    },
}
"""In points, at the base font size."""


@cache
def _base() -> Mapping[str, Any]:
    return {**seaborn.axes_style("ticks"), **seaborn.plotting_context("paper")}


def _explained(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False)
    key, given = ".".join(map(str, first["loc"])), first["input"]
    if first["type"] == "extra_forbidden":
        text = str(unknown("key", key, Look.model_fields))
    elif key == "width" and isinstance(given, str):
        text = f"{key}: {given!r} is not a width; write 'column', 'text' or a number of inches"
    else:
        text = f"{key}: {given!r}: {first['msg'].lower()}"
    return text + (f" (and {len(others)} more)" if others else "")
