"""What a suite file may say, and how it is told when it says something else."""

import json
import math
import tomllib
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails

from harness.cell import Dtype, Model, Pass, Reference
from harness.errors import BadInput, unknown
from harness.registry import ESTIMATORS, PROBLEMS

T = TypeVar("T")


def _written(value: object) -> str:
    """A value about as the suite file writes it, on one line, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _listed(value: object) -> tuple[object, ...]:
    """A scalar stands for a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _some_listed(value: object) -> tuple[object, ...]:
    if not (items := _listed(value)):
        raise ValueError("the list is empty")
    return items


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _ascending(values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(values)))


def _positive(value: object) -> object:
    if type(value) is not int or value < 1:  # True is an int, but not a number of steps
        raise ValueError(f"{_written(value)} is not a positive whole number")
    return value


def _known(kind: str, names: Callable[[], Iterable[str]]) -> BeforeValidator:
    def check(value: object) -> object:
        if value not in (known := list(names())):
            raise ValueError(str(unknown(kind, str(value), known)))
        return value

    return BeforeValidator(check)


def _parameter(list_depth: int) -> BeforeValidator:
    """Checks for a finite scalar, or non-empty lists of them nested at most ``list_depth`` deep."""

    def check(value: object, depth: int = list_depth) -> object:
        if isinstance(value, list) and depth > 0:
            for item in _some_listed(value):
                check(item, depth - 1)
        elif not isinstance(value, bool | int | float | str):
            raise ValueError(f"{_written(value)} is not a number, a string or a boolean")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{_written(value)} is not a finite number")
        return value

    return BeforeValidator(lambda value: check(value))


PositiveInt = Annotated[int, BeforeValidator(_positive)]
Text = Annotated[str, Field(min_length=1)]
Counts = Annotated[tuple[PositiveInt, ...], AfterValidator(_ascending), BeforeValidator(_some_listed)]
ProblemParameter = Annotated[Any, _parameter(list_depth=1)]
EstimatorParameter = Annotated[Any, _parameter(list_depth=2)]
"""A list is a grid axis, so a parameter that is itself a list lies one deeper."""


class Table(Model):
    """A table of the file, typed as strictly as TOML is: ``true`` is not 1 and ``2.0`` is not 2."""

    model_config = ConfigDict(strict=True)


class ProblemTable(Table):
    """``[problem]``: its name and its parameters."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, ProblemParameter]  # pyright: ignore[reportIncompatibleVariableOverride]

    name: Annotated[str, _known("problem", PROBLEMS.names)]


class InnerTable(Table):
    """``[inner]``: what every estimator takes unless its entry says otherwise."""

    lr: EstimatorParameter = None
    lam: EstimatorParameter = None
    inner: EstimatorParameter = None


class EstimatorTable(Table):
    """``[[estimator]]``: its name, its label and its parameters, lists being grid axes."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, EstimatorParameter]  # pyright: ignore[reportIncompatibleVariableOverride]

    name: Annotated[str, _known("estimator", ESTIMATORS.names)]
    label: Text | None = None


class StepsByDevice(Table):
    """``grid.steps`` where CPU and GPU take different ones."""

    cpu: Counts | None = None
    cuda: Counts | None = None


_LIST, _TABLE = "<list>", "<table>"


class GridTable(Table):
    """``[grid]``: the axes besides those of the estimators."""

    steps: Annotated[
        Annotated[Counts, Tag(_LIST)] | Annotated[StepsByDevice, Tag(_TABLE)],
        Discriminator(lambda value: _TABLE if isinstance(value, dict | StepsByDevice) else _LIST),
    ]
    tasks: Counts = (1,)
    dtype: Annotated[
        tuple[Annotated[Dtype, _known("dtype", lambda: get_args(Dtype))], ...],
        AfterValidator(_unique),
        BeforeValidator(_some_listed),
    ] = ("float32",)
    seed: Annotated[int, Field(ge=0)] = 0
    draws: PositiveInt = 1


class MeasureTable(Table):
    """``[measure]``: what is measured at each point, and for how long."""

    passes: Annotated[
        tuple[Annotated[Pass, _known("pass", lambda: get_args(Pass))], ...],
        AfterValidator(_unique),
        BeforeValidator(_some_listed),
    ] = ("memory", "counters", "time")
    references: Annotated[
        tuple[Annotated[Reference, _known("reference", lambda: get_args(Reference))], ...],
        AfterValidator(_unique),
        BeforeValidator(_listed),
    ] = ()
    min_samples: PositiveInt = 3
    min_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.2
    time_limit_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 600.0


class SuiteTable(Table):
    """The whole file."""

    title: Text
    description: str = ""
    problem: ProblemTable
    inner: InnerTable = InnerTable()
    estimator: Annotated[tuple[EstimatorTable, ...], BeforeValidator(_listed)]
    grid: GridTable
    measure: MeasureTable = MeasureTable()


_CLOSED_TABLES: dict[str, type[Table]] = {
    "": SuiteTable,
    "inner": InnerTable,
    "grid": GridTable,
    "grid.steps": StepsByDevice,
    "measure": MeasureTable,
}

_WORDING = {
    "model_type": "a table",
    "string_type": "a string",
    "string_too_short": "a non-empty string",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
}


def parse_suite(text: str, where: str) -> SuiteTable:
    """Read the text of a suite file.

    Raises:
        BadInput: The text is not TOML or not a suite; one line with file, key and value.
    """
    try:
        return SuiteTable.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where}: {error}") from error
    except ValidationError as error:
        raise _bad_input(error, where) from error


def parse_steps(steps: Iterable[int]) -> tuple[int, ...]:
    """Inner steps given outside a suite file, checked and ordered like those inside."""
    try:
        return TypeAdapter[tuple[int, ...]](Counts).validate_python(tuple(steps))
    except ValidationError as error:
        raise _bad_input(error, "steps") from error


def _bad_input(error: ValidationError, where: str) -> BadInput:
    # An unknown key first: a required key that is misspelt is missing as well.
    first, *others = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    key, problem = _dotted(first["loc"]), _explained(first)
    message = ": ".join(part for part in (where, key, problem) if part)
    return BadInput(message + (f" (and {len(others)} more)" if others else ""))


def _dotted(location: tuple[int | str, ...]) -> str:
    """``estimator[1].cg_steps``, without union tags and without the position in a list of values at the end."""
    names = [part for part in location if part not in (_LIST, _TABLE)]
    while names and isinstance(names[-1], int) and names[0] != "estimator":
        names.pop()
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in names).removeprefix(".")


def _explained(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "missing"
    if kind == "extra_forbidden":
        name = str(details["loc"][-1])
        return str(unknown("key", name, _CLOSED_TABLES[_dotted(details["loc"][:-1])].model_fields))
    value = _written(details["input"])
    if kind in _WORDING:
        return f"{value} is not {_WORDING[kind].format(**context)}"
    return f"{details['msg']}, not {value}"
