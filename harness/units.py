"""Numbers as people read them: "26.4 MB", "53.0 ms", "1.5e-5"."""

import math
import re
from dataclasses import dataclass

from harness.errors import BadInput

_PREFIXES = {
    "B": [(1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")],
    "s": [(1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s")],
    "J": [(1e-3, "mJ"), (1.0, "J"), (1e3, "kJ")],
    "Hz": [(1.0, "Hz"), (1e6, "MHz"), (1e9, "GHz")],
    "FLOP": [(1.0, "FLOP"), (1e6, "MFLOP"), (1e9, "GFLOP"), (1e12, "TFLOP"), (1e15, "PFLOP")],
}

_BYTES = {
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(("", "k", "M", "G", "T"))},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(("K", "M", "G", "T"), start=1)},
}


@dataclass(frozen=True)
class Scale:
    """A unit to write numbers in."""

    factor: float
    """What one of it is in the base unit."""
    symbol: str
    """Empty where the numbers are pure."""


def scale(unit: str, typical: float) -> Scale:
    """The decimal multiple of ``unit`` in which ``typical`` is at least 1 (bytes are decimal: 1 MB is 1e6 B)."""
    known = _PREFIXES.get(unit)
    if known is None:
        return Scale(1.0, "" if unit == "1" else unit)
    if not math.isfinite(typical):
        return Scale(1.0, unit)
    if typical == 0.0:
        return Scale(*known[0]) if unit != "s" else Scale(1.0, "s")
    rounded = abs(float(f"{typical:.2e}"))
    return Scale(*max((p for p in known if p[0] <= rounded), default=known[0]))


def quantity(value: float, unit: str, digits: int = 3) -> str:
    """``value`` of a metric's ``unit`` with its best prefix: ``quantity(26_400_000, "B")`` is "26.4 MB"."""
    best = scale(unit, value)
    return f"{number(value / best.factor, digits)} {best.symbol}".rstrip()


def number(value: float, digits: int = 3) -> str:
    """``value`` to ``digits`` significant digits; whole numbers in full, small ones as "1.5e-5"."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 1e6 or abs(value) < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    rounded = float(f"{value:.{digits}g}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}"


def count_of(count: int, noun: str) -> str:
    """As in "1 cell" and "2 cells"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """A share as "4.2 %", to two digits."""
    return f"{number(100 * share, digits=2)} %"


def parse_bytes(size: str | float) -> int:
    """Bytes of "24 MB" (decimal: 24e6), "24MiB" (binary: 24 · 2^20) or a plain number, to the nearest byte.

    Units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB, in any case.

    Raises:
        BadInput: Not a size, or below 0.
    """
    match = re.fullmatch(r"\s*(\d+\.?\d*(?:e\+?\d+)?)\s*([a-z]*)\s*", str(size).lower(), re.ASCII)
    units = {name.lower(): factor for name, factor in _BYTES.items()}
    factor = units.get(match[2] or "b") if match and not isinstance(size, bool) else None
    nbytes = float(match[1]) * factor if match and factor else math.inf
    if not math.isfinite(nbytes):
        raise BadInput(f"{size!r} is not a size in bytes: write it as in '24 MB' or '24 MiB' ({', '.join(_BYTES)})")
    return round(nbytes)
