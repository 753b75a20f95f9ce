"""How figures look, and which colour and marker a curve has in all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import seaborn

from harness.report.settings import Setting

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """What a curve is drawn with."""

    colour: Colour
    marker: str
    size: float
    """Of the marker, in points. Curves are drawn from the largest to the smallest, so that coinciding ones all show."""
    dash: tuple[float, ...]
    """Lengths on and off; empty for a solid line."""


_PALETTE: list[Colour] = [(red, green, blue) for red, green, blue in seaborn.color_palette("colorblind")]
_HUES = {"maml": 3, "maml-replay": 1, "fomaml": 7, "imaml-cg": 0}
"""Places in the palette: vermilion, orange, grey, blue."""
_SPARE_HUES = (2, 4, 9, 5, 6, 8)
_MARKERS = {"maml": "o", "maml-replay": "s", "fomaml": "D", "imaml-cg": "^"}
_SPARE_MARKERS = ("v", "P", "<", ">", "p", "h", "d", "H")
_SIZES = (6.4, 5.0, 3.6)
_DASHES = ((), (3.5, 1.2), (1.2, 0.9))


def styles(settings: Iterable[Setting]) -> dict[tuple[str, str], Style]:
    """Styles by estimator and label: the estimator gives hue and first marker, the configuration's rank the shade.

    Estimators without a place of their own take the spare ones in the order of their names.
    """
    labels: dict[str, list[str]] = {}
    for curve in (curve for setting in settings for curve in setting.curves):
        known = labels.setdefault(curve.estimator, [])
        if curve.label not in known:
            known.append(curve.label)
    found: dict[tuple[str, str], Style] = {}
    others = sorted(labels.keys() - _HUES.keys())
    for estimator, ranked in labels.items():
        spare = others.index(estimator) if estimator in others else 0
        hue = _PALETTE[_HUES.get(estimator, _SPARE_HUES[spare % len(_SPARE_HUES)])]
        first = _MARKERS.get(estimator, _SPARE_MARKERS[spare % len(_SPARE_MARKERS)])
        markers = [first, *(m for m in (*_MARKERS.values(), *_SPARE_MARKERS) if m != first)]
        for rank, label in enumerate(ranked):
            turn = len(found) % len(_SIZES)
            shade = _shade(hue, rank, len(ranked))
            found[estimator, label] = Style(shade, markers[rank % len(markers)], _SIZES[turn], _DASHES[turn])
    return found


def _shade(hue: Colour, rank: int, count: int) -> Colour:
    """From lighter than the hue to darker, by rank; the hue itself where there is but one."""
    position = 0.0 if count == 1 else 2 * rank / (count - 1) - 1
    towards, share = ((1.0, 1.0, 1.0), -0.45 * position) if position < 0 else ((0.0, 0.0, 0.0), 0.45 * position)
    red, green, blue = (c + share * (t - c) for c, t in zip(hue, towards, strict=True))
    return red, green, blue


def parameters() -> dict[str, Any]:
    """Matplotlib's settings for all figures. Text is drawn as it is, never read as mathematics."""
    return {
        **seaborn.axes_style("ticks"),
        **seaborn.plotting_context("paper"),
        "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same figure on every machine
        "font.size": 8.0,
        "axes.titlesize": 8.5,
        "axes.labelsize": 8.5,
        "xtick.labelsize": 8.0,
        "ytick.labelsize": 8.0,
        "legend.fontsize": 8.0,
        "axes.linewidth": 0.8,
        "axes.edgecolor": "0.25",
        "grid.color": "0.9",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.4,
        "lines.markersize": 4.5,
        "text.parse_math": False,
        "svg.hashsalt": "imaml-bench",
        "svg.fonttype": "path",
    }
