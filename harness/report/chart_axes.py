"""Axes and text of the page's charts, as Plotly takes them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from harness.report.variables import written
from harness.text import shortened
from harness.units import Scale

LOGARITHMIC_FROM = 8.0
"""Ratio of an axis's largest value to its least from which it begins as a logarithmic one."""
TICKS = 9
"""Most values of the variable that are all written at the axis."""
POWERS = 300
"""Powers of ten up to which, and down to the inverse of which, there are ticks."""

_INK, _GRID = "#1c1e21", "#e1e4e8"


def hover(*lines: str) -> str:
    """What is shown where a point is pointed at."""
    return "<br>".join(map(plain, lines))


def plain(text: str) -> str:
    """``text`` as Plotly shows it literally: it reads some markup otherwise."""
    return escape(shortened(text, 160), quote=False)


def capitalised(text: str) -> str:
    """As the beginning of a heading."""
    return text[:1].upper() + text[1:]


def named(what: str, unit: Scale) -> str:
    """The title of an axis: "peak memory (MB)"."""
    return f"{what} ({unit.symbol})" if unit.symbol else what


def axis(heading: str, values: Iterable[float], ticks: Sequence[float] = (), from_zero: bool = True) -> dict[str, Any]:
    """An axis; logarithmic to begin with where the values span much and are all above 0.

    Its ticks are those of a logarithmic one, for Plotly writes "2" for 20; of a linear one, Plotly's own.
    """
    finite = [value for value in values if math.isfinite(value)]
    wide = bool(finite) and min(finite) > 0 and max(finite) >= LOGARITHMIC_FROM * min(finite)
    at = ticks or logarithmic_ticks(finite)
    return {
        **{"title": {"text": plain(heading), "standoff": 8}, "type": "log" if wide else "linear"},
        **{"tickmode": "array" if wide or ticks else "auto", "tickvals": at, "ticktext": [_tick(each) for each in at]},
        **{"gridcolor": _GRID, "linecolor": _INK, "zeroline": False, "rangemode": "tozero" if from_zero else "normal"},
        **{"exponentformat": "e", "minexponent": 4},
    }


def logarithmic_ticks(values: Iterable[float]) -> list[float]:
    """Powers of ten about the values above 0, at most about :data:`TICKS`; with 2 and 5 between where there is room."""
    positive = [value for value in values if value > 0]
    if not positive:
        return []
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    low, high = max(low, -POWERS), min(high, POWERS)
    digits = (1, 2, 5) if high - low <= TICKS // 3 else (1,)
    return [
        digit * 10.0**power for power in range(low, high + 1, 1 + max(0, high - low - 1) // TICKS) for digit in digits
    ]


def layout(x: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, Any]:
    """Plotly's layout of a chart without a legend: the page has it."""
    return {
        **{"xaxis": x, "yaxis": y, "height": 340, "margin": {"l": 60, "r": 12, "t": 30, "b": 48}},
        **{"showlegend": False, "dragmode": False, "hovermode": "closest", "hoverlabel": {"align": "left"}},
        **{"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": _INK},
    }


def _tick(value: float) -> str:
    """As on paper: with a power of ten where the number is long."""
    power = math.floor(math.log10(value)) if value > 0 else 0
    if -4 < power < 5:
        return written(value)
    mantissa = f"{value / 10.0**power:.3g}"
    return f"{'' if mantissa == '1' else f'{mantissa} · '}10<sup>{power}</sup>".replace("-", "−")
