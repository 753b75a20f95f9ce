"""Which colour, marker and dash a curve has, in every figure of every report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.colors import to_rgb

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
    filled: bool = True
    """Whether the marker is, or white inside."""


Styles = Mapping[tuple[str, str], Style]
"""By estimator and label."""


PLACES: dict[str, tuple[str, str]] = {
    "maml": ("#d55e00", "o"),
    "maml-replay": ("#de8f05", "s"),
    "maml-checkpoint": ("#7a2f00", "p"),
    "maml-truncated": ("#8c8a3e", "<"),
    "fomaml": ("#949494", "D"),
    "reptile": ("#333333", "H"),
    "imaml-cg": ("#0173b2", "^"),
    "imaml-minres": ("#56b4e9", "P"),
    "imaml-dense": ("#0b2f52", "d"),
    "imaml-nystrom": ("#029e73", "v"),
    "imaml-neumann": ("#cc78bc", ">"),
    "darts-fd": ("#5a2a8c", "h"),
}
"""Colour and marker of the estimators that come with the harness: warm for exact backprop, grey for the first-order,
cold for the implicit. No two of the colours look alike to a colour-blind reader."""
_SPARE_COLOURS = ("#a6761d", "#e7298a", "#66a61e", "#7570b3", "#1b9e77", "#ca9161")
_SPARE_MARKERS = ("v", "P", "<", ">", "p", "h")
_SIZES = (6.4, 5.0, 3.6)
_DASHES = ((), (3.5, 1.2), (1.2, 0.9))


def styles(settings: Iterable[Setting]) -> dict[tuple[str, str], Style]:
    """Styles by estimator and label: the estimator gives hue and marker, the configuration's rank shade and dash.

    Configurations are ranked among those they share a setting with, directly or by way of others, so that what other
    settings compare does not move a curve's shade. Estimators without a place of their own take the spare ones in the
    order of their names.
    """
    together: dict[str, list[list[str]]] = {}
    for setting in settings:
        for estimator in dict.fromkeys(curve.estimator for curve in setting.curves):
            labels = [curve.label for curve in setting.curves if curve.estimator == estimator]
            together[estimator] = _joined(together.get(estimator, []), labels)
    others = sorted(together.keys() - PLACES.keys())
    places = {name: (place, *look) for place, (name, look) in enumerate(PLACES.items())}
    for place, name in enumerate(others):
        spare = place % len(_SPARE_COLOURS)
        places[name] = (place, _SPARE_COLOURS[spare], _SPARE_MARKERS[spare])
    return {
        (estimator, label): _ranked(*places[estimator], rank, len(group))
        for estimator, groups in together.items()
        for group in groups
        for rank, label in enumerate(group)
    }


def _joined(groups: Sequence[Sequence[str]], labels: Sequence[str]) -> list[list[str]]:
    """The groups, with those that share one of the labels made one, and the labels in it."""
    apart = [list(group) for group in groups if set(group).isdisjoint(labels)]
    touched = [label for group in groups if not set(group).isdisjoint(labels) for label in group]
    return [*apart, list(dict.fromkeys([*touched, *labels]))]


def _ranked(place: int, colour: str, marker: str, rank: int, count: int) -> Style:
    turn = (place + rank) % len(_SIZES)
    return Style(_shade(to_rgb(colour), rank, count), marker, _SIZES[turn], _DASHES[turn], filled=rank % 2 == 0)


def legible(colour: Colour) -> Colour:
    """The colour, darkened until text in it can be read on white (WCAG: a contrast of 4.5)."""
    share = next(share / 20 for share in range(21) if contrast(_mixed(colour, (0, 0, 0), share / 20)) >= 4.5)
    return _mixed(colour, (0.0, 0.0, 0.0), share)


def contrast(colour: Colour) -> float:
    """Of the colour on white, by WCAG: from 1 (white) to 21 (black)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def _shade(hue: Colour, rank: int, count: int) -> Colour:
    """From lighter than the hue to darker, by rank; the hue itself where there is but one."""
    position = 0.0 if count == 1 else 2 * rank / (count - 1) - 1
    return _mixed(hue, (1.0, 1.0, 1.0) if position < 0 else (0.0, 0.0, 0.0), 0.42 * abs(position))


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (c + share * (o - c) for c, o in zip(colour, other, strict=True))
    return red, green, blue
