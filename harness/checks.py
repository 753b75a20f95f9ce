"""Ranges of parameters: each raises :class:`BadInput` with the one line that names the parameter and its value."""

import math
from typing import Literal, TypeAlias, TypeGuard, get_args

from harness.errors import BadInput, unknown

Dtype: TypeAlias = Literal["float64", "float32", "bfloat16"]
"""Of problems, by their names in torch."""
DTYPES: tuple[str, ...] = get_args(Dtype)

MOST = 1_000_000
"""Largest number of inner steps, of tasks, of seeds to draw and of samples to ask for."""
LARGEST = 2**31 - 1
"""Largest whole number among parameters, and largest seed."""
LONGEST_SECONDS = 604_800.0
"""Longest time to ask for: a week."""
LONGEST_TEXT = 200
"""Most characters of a title or a label."""
MOST_CELLS = 100_000
"""Most cells of a suite."""
MOST_REPEATS = 1_000
"""Most processes to measure a cell in."""


def is_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a finite number (True is not, nor is a whole number that no float can hold)."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_positive(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a finite number above 0."""
    return is_number(value) and value > 0


def is_count(value: object) -> TypeGuard[int]:
    """Whether ``value`` is a positive whole number (neither True nor 2.0 is)."""
    return type(value) is int and value > 0


def require_count(name: str, value: object) -> None:
    """A positive whole number, at most :data:`LARGEST`."""
    if not is_count(value):
        raise BadInput(f"{name}: {value!r} is not a positive whole number")
    _require_not_larger(name, value)


def require_positive(name: str, value: object) -> None:
    """A finite number above 0."""
    if not is_positive(value):
        raise BadInput(f"{name}: {value!r} is not a number above 0")


def require_not_negative(name: str, value: object) -> None:
    """A finite number, 0 or above."""
    if not is_number(value) or value < 0:
        raise BadInput(f"{name}: {value!r} is not a number >= 0")


def require_seed(name: str, value: object) -> None:
    """A whole number, 0 or above, at most :data:`LARGEST`."""
    if type(value) is not int or value < 0:
        raise BadInput(f"{name}: {value!r} is not a whole number >= 0")
    _require_not_larger(name, value)


def _require_not_larger(name: str, value: int) -> None:
    if value > LARGEST:
        raise BadInput(f"{name}: a whole number above {LARGEST:,} is not taken")


def require_fraction(name: str, value: object, otherwise: str = "") -> None:
    """A number in [0, 1); ``otherwise`` ends the message."""
    if not is_number(value) or not 0 <= value < 1:
        raise BadInput(f"{name}: {value!r} is not a number >= 0 and < 1{otherwise}")


def require_dtype(dtype: str) -> None:
    """A floating point type problems are made of."""
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
