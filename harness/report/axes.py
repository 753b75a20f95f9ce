"""Logarithmic axes that also have a place for zero and for cells that failed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from harness.report.variables import written
from harness.units import quantity

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Range:
    """A logarithmic value axis."""

    low: float
    high: float
    zero: float | None
    """Where zeros are drawn; ``None`` where there are none."""

    def place(self, value: float) -> float:
        """Where ``value`` is drawn."""
        return self.zero if value <= 0 and self.zero is not None else _bounded(value)


def value_range(values: Sequence[float], exact_zero: bool) -> Range:
    """A range for ``values``, at least a decade, so that noise about a constant looks like one.

    Args:
        values: At least one; those not above 0 get a place a decade or more below the least positive one.
        exact_zero: A zero means equal to the last bit: its place is at most 1e-17, below float64's rounding.
    """
    positive = [_bounded(value) for value in values if value > 0]
    low, high = (math.log10(min(positive)), math.log10(max(positive))) if positive else (-1.0, 0.0)
    zero = None
    if len(positive) < len(values):
        zero = min(math.floor(low) - 1.0, -17.0 if exact_zero else math.inf)
        low = zero
    missing = max(0.0, 1.0 - (high - low)) / 2
    margin = 0.05 * (high - low + 2 * missing)
    low, high = low - missing - margin, high + missing + margin
    return Range(10.0**low, 10.0**high, None if zero is None else 10.0**zero)


def _bounded(value: float) -> float:
    """Kept within what an axis can hold with room to spare."""
    return min(max(value, 1e-100), 1e100)


def draw_variable_axis(axes: Axes, values: Sequence[float], title: str, slots: float = 12.0) -> None:
    """A logarithmic axis of what is varied, with ticks at the measured values, as many as fit, powers of two first.

    Args:
        axes: To set up.
        values: Ascending.
        title: What is varied.
        slots: How many labels of up to four characters fit beside each other.
    """
    axes.set_xscale("log", base=2)
    low, high = math.log2(values[0]), math.log2(values[-1])
    margin = 0.05 * (high - low) or 0.5
    axes.set_xlim(2 ** (low - margin), 2 ** (high + margin))
    room = (high - low) / slots * max(1.0, len(written(values[-1])) / 4)
    shown: list[float] = []
    for value in sorted(values, key=lambda value: (math.frexp(value)[0] != 0.5, value)):
        if all(abs(math.log2(value / other)) >= room for other in shown):
            shown.append(value)
    _set_ticks(axes.xaxis, {value: written(value) for value in shown})
    axes.set_xlabel(title)


def draw_signed_axis(axes: Axes, values: Sequence[float]) -> list[str]:
    """A linear axis for values of either sign, with a line at 0. Returns its labels."""
    low, high = min(*values, 0.0), max(*values, 0.0)
    margin = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    axes.axhline(0.0, color="0.6", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.grid(axis="y")
    ticks = map(float, MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high))
    labels = {tick: f"{tick:g}".replace("-", "−") for tick in ticks if low - margin <= tick <= high + margin}
    _set_ticks(axes.yaxis, labels)
    return list(labels.values())


def draw_value_axis(axes: Axes, span: Range, unit: str, zero_label: str, headroom: float) -> list[str]:
    """A base-10 axis with ticks in words ("20 ms", "10⁻⁵"). Returns its labels.

    Args:
        axes: To set up.
        span: What it is to show.
        unit: The metric's.
        zero_label: Tick label at the place of zeros.
        headroom: Share of the axis kept free at its top.
    """
    axes.set_yscale("log")
    top = math.log10(span.low) + (math.log10(span.high) - math.log10(span.low)) / (1 - headroom)
    axes.set_ylim(span.low, 10.0**top)
    ticks = _ticks(span, unit)
    if span.zero is not None:
        ticks[span.zero] = zero_label
        axes.axhline(span.zero, color="0.6", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    _set_ticks(axes.yaxis, ticks)
    axes.grid(axis="y")
    return list(ticks.values())


def _set_ticks(axis: Axis, labels: Mapping[float, str]) -> None:
    axis.set_major_locator(FixedLocator(list(labels)))
    axis.set_major_formatter(FixedFormatter(list(labels.values())))
    axis.set_minor_locator(NullLocator())


def _ticks(span: Range, unit: str) -> dict[float, str]:
    """Labels of 1, 2, 5, 10… over up to two and a half decades, else of powers of ten; none near the place of zeros."""
    low = math.log10(span.low) if span.zero is None else math.log10(span.zero) + 0.5
    high = math.log10(span.high)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    if high - low <= 2.5:
        all_ticks = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
        labels = {tick: quantity(tick, unit, digits=1) for tick in all_ticks}
    else:
        stride = math.ceil((high - low) / 8)
        kept = [exponent for exponent in exponents if exponent % stride == 0]
        labels = {10.0**exponent: _power_label(exponent, unit) for exponent in kept}
    return {tick: label for tick, label in labels.items() if low <= math.log10(tick) <= high}


def _power_label(exponent: int, unit: str) -> str:
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}" if unit == "1" else quantity(10.0**exponent, unit)


def failure_rows(count: int) -> float:
    """Height of a row of failure marks where there are ``count``, as a share of the axis: at most 40 % in all."""
    return min(0.055, 0.4 / max(count, 1))


def draw_failures(axes: Axes, rows: Sequence[tuple[Mapping[float, str], object]], scale: float = 1.0) -> None:
    """Marks at the axis's top, a row a curve: each row is value to marker, and a colour."""
    height = failure_rows(len(rows))
    for row, (marks, colour) in enumerate(rows):
        for value, marker in marks.items():
            axes.plot(
                [value],
                [1 - height * (row + 0.6)],
                transform=axes.get_xaxis_transform(),
                **_mark(marker, colour, scale),
            )


def draw_limit(
    axes: Axes, limit: float, text: str, marks: Sequence[tuple[float, str, object]], scale: float = 1.0
) -> None:
    """A dotted line at a limit, with marks on it: each a value, a marker and a colour; those at one value pile up."""
    axes.axhline(limit, color="0.3", linewidth=0.9 * scale, linestyle=(0, (1, 1.6)), zorder=1.7)
    low, high = axes.get_xlim()
    left_is_free = all(math.log(value / low) > 0.45 * math.log(high / low) for value, _, _ in marks)
    axes.annotate(
        text, (0.0, limit), (3.0 * scale, (3.0 if left_is_free else -3.0) * scale), textcoords="offset points",
        xycoords=axes.get_yaxis_transform(), va="bottom" if left_is_free else "top", color="0.3", fontsize=7 * scale,
    )  # fmt: skip
    piled: dict[float, int] = {}
    for value, marker, colour in marks:
        piled[value] = piled.get(value, -1) + 1
        at = axes.transData + ScaledTranslation(0.0, 6.5 * scale * piled[value] / 72, axes.figure.dpi_scale_trans)
        axes.plot([value], [limit], transform=at, **_mark(marker, colour, scale))


def _mark(marker: str, colour: object, scale: float) -> dict[str, Any]:
    how: dict[str, Any] = {"marker": marker, "color": colour, "linestyle": "none", "zorder": 4}
    return {**how, "markersize": 5.5 * scale, "markeredgewidth": 1.4 * scale}
