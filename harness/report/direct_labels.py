"""Curves named at their right ends, where that needs no legend."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from harness.report.style import Colour, legible

LINE = 1.12
"""Height of a line of text, over the font size."""
FAR = 0.75
"""How many lines a label may lie from the end of its curve."""


@dataclass(frozen=True)
class End:
    """Where a curve ends on the right."""

    label: str
    colour: Colour
    value: float
    """On the axis of values."""


def places(axes: Axes, ends: Sequence[End], height_inches: float, points: float) -> list[float] | None:
    """Where the labels go, as shares of the axis's height; ``None`` where they would not all be beside their curves.

    Args:
        axes: With its axis of values set.
        ends: A curve each.
        height_inches: The axes' height.
        points: Font size.
    """
    transform = axes.yaxis.get_transform()
    low, high = transform.transform(np.array(axes.get_ylim()))
    wanted = ((transform.transform(np.array([end.value for end in ends])) - low) / (high - low)).tolist()
    line = points * LINE / 72 / height_inches
    found = spread(wanted, line)
    near = all(abs(place - wish) <= FAR * line for place, wish in zip(found, wanted, strict=True))
    return found if near and all(-line / 2 <= place <= 1 + line / 2 for place in found) else None


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places at least ``gap`` apart, in the order of those wanted and together as near to them as can be."""
    groups: list[tuple[float, int]] = []
    """Centre and size of labels that stand a gap apart, from below."""
    for wish in sorted(wanted):
        centre, count = wish, 1
        while groups and groups[-1][0] + (groups[-1][1] + count) * gap / 2 > centre:
            below, size = groups.pop()
            # Of the wishes less the room that those below take up, the mean is nearest.
            upper, lower = centre - size * gap / 2, below + count * gap / 2
            centre, count = (upper * count + lower * size) / (size + count), size + count
        groups.append((centre, count))
    ascending = [centre + (rank - (size - 1) / 2) * gap for centre, size in groups for rank in range(size)]
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    return [place for _, place in sorted(zip(order, ascending, strict=True))]


def write_labels(axes: Axes, ends: Sequence[End], at: Sequence[float], points: float) -> None:
    """The labels, to the right of the axes and in their curves' colours."""
    for end, place in zip(ends, at, strict=True):
        axes.annotate(
            end.label, (1.0, place), (2.0, 0.0), xycoords="axes fraction", textcoords="offset points", ha="left",
            va="center_baseline", color=legible(end.colour), fontsize=points, annotation_clip=False,
        )  # fmt: skip


def width_inches(text: str, points: float) -> float:
    """Of the widest line of a text in the font of the moment."""
    font = FontProperties(size=points)
    return (
        max(text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in text.split("\n")) / 72
    )
