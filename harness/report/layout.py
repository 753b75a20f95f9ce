"""Where panels stand in a figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.look import Look

PANEL = 2.3
"""Least width a panel is given beside another one, in inches at the base font size, its margins included."""
AXES = 1.6
"""Least width of axes that leave room for the names of curves."""
ALONE = 4.8
"""Most a single panel is wide."""
EDGE = 0.1


@dataclass
class Box:
    """A panel's axes, and the room it needs for text on both sides; in inches."""

    axes: Axes
    left: float
    right: float = 0.0


@dataclass(frozen=True)
class Sheet:
    """The measures of a figure; in inches."""

    width: float
    scale: float
    per_row: int
    plot: float
    """Height of the axes."""

    @classmethod
    def of(cls, look: Look, panels: int) -> "Sheet":
        """As wide as the look says, or less for a single panel that would be stretched."""
        per_row = max(1, min(panels, int(look.width / look.scale / PANEL)))
        width = look.width if per_row > 1 else min(look.width, ALONE * look.scale)
        return cls(width, look.scale, per_row, min(2.1 * look.scale, 0.54 * width))

    def inner(self, boxes: Sequence[Box]) -> float:
        """Width of every panel's axes, all alike."""
        return (self.width - sum(left + right for left, right in self._margins(boxes))) / self.per_row

    def place(self, figure: Figure, boxes: Sequence[Box], heading: int, legend: int) -> None:
        """Set the figure's height and put the axes where they belong.

        Args:
            figure: To lay out.
            boxes: Its panels, row by row.
            heading: Lines of text at its top.
            legend: Rows of the legend at its bottom.
        """
        rows = math.ceil(len(boxes) / self.per_row)
        titles = 0.06 + 0.155 * max(box.axes.get_title().count("\n") + 1 for box in boxes)
        between = 0.55 if len(boxes) % self.per_row else 0.34
        above = self.scale * ((0.08 + 0.14 * heading if heading else 0.0) + titles)
        below = self.scale * (0.44 + (0.04 + 0.16 * legend if legend else 0.0))
        pitch = self.plot + self.scale * (between + titles)
        height = above + self.plot + (rows - 1) * pitch + below
        figure.set_size_inches(self.width, height)
        inner, margins = self.inner(boxes), self._margins(boxes)
        for index, box in enumerate(boxes):
            row, column = divmod(index, self.per_row)
            left = sum(map(sum, margins[:column])) + margins[column][0] + column * inner
            bottom = height - above - self.plot - row * pitch
            box.axes.set_position((left / self.width, bottom / height, inner / self.width, self.plot / height))

    def _margins(self, boxes: Sequence[Box]) -> list[tuple[float, float]]:
        columns = [boxes[column :: self.per_row] for column in range(self.per_row)]
        edge = EDGE * self.scale
        return [(max(box.left for box in each), edge + max(box.right for box in each)) for each in columns]
