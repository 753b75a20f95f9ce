"""The kinds of values a suite file has."""

import json
import math
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from harness.cell import Model
from harness.checks import LARGEST, LONGEST_SECONDS, LONGEST_TEXT, MOST
from harness.errors import unknown

T = TypeVar("T")

LONGEST_PARAMETER = 4096
"""Most characters of a parameter that is a string: those of a path."""


def written(value: object) -> str:
    """A value about as the suite file writes it, on one line, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # more digits than Python writes
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(value: object) -> tuple[object, ...]:
    """A scalar stands for a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def some_listed(value: object) -> tuple[object, ...]:
    """The same, of at least one item."""
    if not (items := listed(value)):
        raise ValueError("the list is empty")
    return items


def without_repeats(values: tuple[T, ...]) -> tuple[T, ...]:
    """Each value once, in the order of the first."""
    return tuple(dict.fromkeys(values))


def _ascending(values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(values)))


def _positive(value: object) -> object:
    if type(value) is not int or value < 1:  # True is an int, but not a number of steps
        raise ValueError(f"{written(value)} is not a positive whole number")
    if value > MOST:
        raise ValueError(f"{written(value)} is more than {MOST:,}, the most there may be")
    return value


def known(kind: str, names: Callable[[], Iterable[str]]) -> BeforeValidator:
    """Checks for one of the names; suggests the nearest."""

    def check(value: object) -> object:
        if value not in (there := list(names())):
            raise ValueError(str(unknown(kind, str(value), there)))
        return value

    return BeforeValidator(check)


def _parameter(list_depth: int) -> BeforeValidator:
    """Checks for a finite scalar, or non-empty lists of them nested at most ``list_depth`` deep."""

    def check(value: object, depth: int = list_depth) -> object:
        if isinstance(value, list) and depth > 0:
            for item in some_listed(value):
                check(item, depth - 1)
        elif not isinstance(value, bool | int | float | str):
            raise ValueError(f"{written(value)} is not a number, a string or a boolean")
        elif isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"{written(value)} is a larger whole number than {LARGEST:,}")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{written(value)} is not a finite number")
        elif isinstance(value, str) and len(value) > LONGEST_PARAMETER:
            raise ValueError(f"{written(value)} is longer than {LONGEST_PARAMETER:,} characters")
        return value

    return BeforeValidator(lambda value: check(value))


PositiveInt = Annotated[int, BeforeValidator(_positive)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS, allow_inf_nan=False)]
Texts = Annotated[tuple[Text, ...], AfterValidator(without_repeats), BeforeValidator(some_listed)]
Counts = Annotated[tuple[PositiveInt, ...], AfterValidator(_ascending), BeforeValidator(some_listed)]
Parameter = Annotated[Any, _parameter(list_depth=2)]
"""A list is a grid axis, so a parameter that is itself a list lies one deeper: ``hidden = [[40, 40]]``."""


class Table(Model):
    """A table of the file, typed as strictly as TOML is: ``true`` is not 1 and ``2.0`` is not 2."""

    model_config = ConfigDict(strict=True)
