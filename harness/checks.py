"""Ranges of parameters: each raises :class:`BadInput` with the one line that names the parameter and its value."""

import math
from typing import Literal, TypeAlias, TypeGuard, get_args

from harness.errors import BadInput, unknown

Dtype: TypeAlias = Literal["float64", "float32", "bfloat16"]
"""Of problems, by their names in torch."""
DTYPES: tuple[str, ...] = get_args(Dtype)


def is_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a finite number (True is not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_positive(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a finite number above 0."""
    return is_number(value) and value > 0


def is_count(value: object) -> TypeGuard[int]:
    """Whether ``value`` is a positive whole number (neither True nor 2.0 is)."""
    return type(value) is int and value > 0


def require_count(name: str, value: object) -> None:
    """A positive whole number."""
    if not is_count(value):
        raise BadInput(f"{name}: {value!r} is not a positive whole number")


def require_positive(name: str, value: object) -> None:
    """A finite number above 0."""
    if not is_positive(value):
        raise BadInput(f"{name}: {value!r} is not a number above 0")


def require_not_negative(name: str, value: object) -> None:
    """A finite number, 0 or above."""
    if not is_number(value) or value < 0:
        raise BadInput(f"{name}: {value!r} is not a number >= 0")


def require_seed(name: str, value: object) -> None:
    """A whole number, 0 or above."""
    if type(value) is not int or value < 0:
        raise BadInput(f"{name}: {value!r} is not a whole number >= 0")


def require_fraction(name: str, value: object, otherwise: str = "") -> None:
    """A number in [0, 1); ``otherwise`` ends the message."""
    if not is_number(value) or not 0 <= value < 1:
        raise BadInput(f"{name}: {value!r} is not a number >= 0 and < 1{otherwise}")


def require_dtype(dtype: str) -> None:
    """A floating point type problems are made of."""
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
