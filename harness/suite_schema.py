"""What a suite file may say, and how it is told when it says something else."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias, get_args

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

from harness.cell import Dtype, Pass, Reference
from harness.checks import LARGEST, LONGEST_TEXT
from harness.errors import BadInput, unknown
from harness.registry import ESTIMATORS, PROBLEMS, of_python
from harness.suite_expect import BoundsTable, ExpectTable
from harness.suite_values import (
    Counts,
    Parameter,
    PositiveInt,
    Seconds,
    Table,
    Text,
    known,
    listed,
    some_listed,
    without_repeats,
    written,
)

Location: TypeAlias = tuple[int | str, ...]

LARGEST_FILE = 1_000_000
"""Most bytes of a suite file."""
LONGEST_DESCRIPTION = 10_000
MOST_TABLES = {"study": 1_000, "estimator": 10_000, "expect": 500}
"""Most ``[[…]]`` tables of a kind; of estimators, those of all studies together."""
DEEPEST = 20
"""Most tables and lists within one another."""
_TOO_DEEP = f"lists or tables lie more than {DEEPEST} deep within one another"
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")
"""A dotted key of so many parts that the parser, whose time goes by their square, would take long over it."""


class ProblemTable(Table):
    """``[problem]``: its name and its parameters, lists being grid axes."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Parameter]  # pyright: ignore[reportIncompatibleVariableOverride]

    name: Annotated[str, known("problem", PROBLEMS.names)]


class InnerTable(Table):
    """``[inner]``: what every estimator takes unless its entry says otherwise."""

    lr: Parameter = None
    lam: Parameter = None
    inner: Parameter = None


class EstimatorTable(Table):
    """``[[estimator]]``: its name, its label and its parameters, lists being grid axes."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Parameter]  # pyright: ignore[reportIncompatibleVariableOverride]

    name: Annotated[str, known("estimator", ESTIMATORS.names)]
    label: Text | None = None


class CountsByDevice(Table):
    """``grid.steps`` or ``grid.tasks`` where CPU and GPU take different ones."""

    cpu: Counts | None = None
    cuda: Counts | None = None


_LIST, _TABLE = "<list>", "<table>"
CountsAnywhere: TypeAlias = Annotated[
    Annotated[Counts, Tag(_LIST)] | Annotated[CountsByDevice, Tag(_TABLE)],
    Discriminator(lambda value: _TABLE if isinstance(value, dict | CountsByDevice) else _LIST),
]


def counts_on(device: str, counts: tuple[int, ...] | CountsByDevice) -> tuple[int, ...] | None:
    """Those for ``cpu`` or ``cuda:I``; ``None`` where there are none for it."""
    if not isinstance(counts, CountsByDevice):
        return counts
    return {"cpu": counts.cpu, "cuda": counts.cuda}.get(device.partition(":")[0])


class GridTable(Table):
    """``[grid]``: the axes besides those of the estimators."""

    steps: CountsAnywhere
    tasks: CountsAnywhere = (1,)
    dtype: Annotated[
        tuple[Annotated[Dtype, known("dtype", lambda: get_args(Dtype))], ...],
        AfterValidator(without_repeats),
        BeforeValidator(some_listed),
    ] = ("float32",)
    seed: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    draws: PositiveInt = 1

    def devices(self) -> tuple[str, ...]:
        """One of each kind that the grid has points for; any one where they are the same for all."""
        tables = [each for each in (self.steps, self.tasks) if isinstance(each, CountsByDevice)]
        if not tables:
            return ("cpu",)
        return tuple(device for device in ("cpu", "cuda:0") if all(counts_on(device, each) for each in tables))


class MeasureTable(Table):
    """``[measure]``: what is measured at each point, and for how long."""

    passes: Annotated[
        tuple[Annotated[Pass, known("pass", lambda: get_args(Pass))], ...],
        AfterValidator(without_repeats),
        BeforeValidator(some_listed),
    ] = ("memory", "counters", "time", "phases")
    references: Annotated[
        tuple[Annotated[Reference, known("reference", lambda: get_args(Reference))], ...],
        AfterValidator(without_repeats),
        BeforeValidator(listed),
    ] = ()
    min_samples: PositiveInt = 3
    min_seconds: Seconds = 0.2
    max_seconds: Seconds = 2.0
    precision: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.02
    time_limit_seconds: Annotated[Seconds, Field(gt=0)] = 600.0


class StudyTable(Table):
    """A study: the whole file but its title where there is one, else a ``[[study]]`` over what the file's top says."""

    title: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    x: Text = "steps"
    problem: ProblemTable
    inner: InnerTable = InnerTable()
    estimator: Annotated[tuple[EstimatorTable, ...], BeforeValidator(some_listed)]
    grid: GridTable
    measure: MeasureTable = MeasureTable()


class SuiteTable(Table):
    """The whole file."""

    title: Text
    description: Annotated[str, Field(max_length=LONGEST_DESCRIPTION)] = ""
    study: Annotated[tuple[StudyTable, ...], BeforeValidator(some_listed)]
    expect: Annotated[tuple[ExpectTable, ...], BeforeValidator(listed)] = ()


_CLOSED_TABLES: dict[str, tuple[str, ...]] = {
    "": (*SuiteTable.model_fields, *StudyTable.model_fields),
    "study": tuple(StudyTable.model_fields),
    **{
        name: tuple(table.model_fields)
        for name, table in (("inner", InnerTable), ("grid", GridTable), ("measure", MeasureTable))
    },
    "grid.steps": tuple(CountsByDevice.model_fields),
    "grid.tasks": tuple(CountsByDevice.model_fields),
    "expect": tuple(ExpectTable.model_fields),
    "expect.slope": tuple(BoundsTable.model_fields),
    "expect.exponent": tuple(BoundsTable.model_fields),
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
    "less_than_equal": "at most {le:,}",
    "string_too_long": "at most {max_length:,} characters long",
}


def parse_suite(text: str, where: str) -> SuiteTable:
    """Read the text of a suite file: one study, or the ``[[study]]`` tables with the file's top for their defaults.

    A study's ``problem``, ``inner``, ``grid`` and ``measure`` go over those of the top key by key (a problem of
    another name stands alone), its estimators replace those of the top.

    Raises:
        BadInput: The text is not TOML or not a suite; one line with file, key and value.
    """
    if _LONG_KEY.search(text):
        raise BadInput(f"{where}: {_TOO_DEEP}")
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where}: {error}") from error
    except RecursionError:
        raise BadInput(f"{where}: {_TOO_DEEP}") from None
    except ValueError as error:
        raise BadInput(f"{where}: a number has more digits than can be read") from error
    _require_bounded(written, where)
    try:
        return SuiteTable.model_validate(_spread(written))
    except ValidationError as error:
        raise _bad_input(error, where, written) from error


def _require_bounded(written: Mapping[str, Any], where: str) -> None:
    """The file is small enough to be looked at in full."""
    level: list[Any] = [written]
    for _ in range(DEEPEST):
        long = next((key for of in level if isinstance(of, dict) for key in of if len(key) > LONGEST_TEXT), None)
        if long is not None:
            raise BadInput(f"{where}: the key {long[:30]}... is longer than {LONGEST_TEXT} characters")
        level = [each for of in level for each in (of.values() if isinstance(of, dict) else of)]
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            break
    else:
        raise BadInput(f"{where}: {_TOO_DEEP}")
    studies = listed(written.get("study", {}))
    own = [listed(each.get("estimator", written.get("estimator", ()))) for each in studies if isinstance(each, dict)]
    counts = {"study": len(studies), "estimator": sum(map(len, own)), "expect": len(listed(written.get("expect", ())))}
    for name, most in MOST_TABLES.items():
        if counts[name] > most:
            of = " of all studies together" if name == "estimator" and len(studies) > 1 else ""
            raise BadInput(f"{where}: {name}: {counts[name]:,} tables{of}, of which there may be {most:,}")


def parse_steps(steps: Iterable[int]) -> tuple[int, ...]:
    """Inner steps given outside a suite file, checked and ordered like those inside."""
    try:
        return TypeAdapter[tuple[int, ...]](Counts).validate_python(tuple(map(of_python, steps)))
    except ValidationError as error:
        raise _bad_input(error, "steps", {}) from error


def _spread(written: Mapping[str, Any]) -> dict[str, Any]:
    """The file with every study complete in itself."""
    head = {name: written[name] for name in ("title", "description", "expect") if name in written}
    top = {name: value for name, value in written.items() if name not in (*head, "study")}
    studies = listed(written.get("study", {}))
    return head | {"study": [_over(top, each) if isinstance(each, dict) else each for each in studies]}


def _over(top: Mapping[str, Any], study: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**top, **study}
    for name in ("problem", "inner", "grid", "measure"):
        below, above = top.get(name), study.get(name)
        if isinstance(below, dict) and isinstance(above, dict):
            another = name == "problem" and above.get("name", below.get("name")) != below.get("name")
            merged[name] = above if another else {**below, **above}
    return merged


def _bad_input(error: ValidationError, where: str, written: Mapping[str, Any]) -> BadInput:
    details: list[dict[str, Any]] = [{**each, "loc": _place(each, written)} for each in error.errors(include_url=False)]
    # An unknown key first: a required key that is misspelt is missing as well.
    first, *others = sorted(_once(details), key=lambda each: each["type"] != "extra_forbidden")
    message = ": ".join(part for part in (where, _dotted(first["loc"]), _explained(first)) if part)
    return BadInput(message + (f" (and {len(others)} more)" if others else ""))


def _once(details: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Each fault once: what every study takes from the top fails in every study."""
    return {(each["loc"], each["type"], written(each["input"])): each for each in details}.values()


def _place(details: ErrorDetails, written: Mapping[str, Any]) -> Location:
    """Where in the file as written the trouble lies: in a study's own table, or at the top it takes from."""
    location = tuple(part for part in details["loc"] if part not in (_LIST, _TABLE))
    if location[:1] != ("study",) or len(location) < 2:
        return location
    study, *inside = location[1:]
    at: Any = listed(written["study"])[int(study)] if "study" in written else None
    for part in inside[:-1] if details["type"] == "missing" else inside:
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            return tuple(inside)
    return location if "study" in written else tuple(inside)


def _dotted(location: Location) -> str:
    """``estimator[1].cg_steps``, without the position in a list of values at the end."""
    names = list(location)
    while names and isinstance(names[-1], int) and names[-2:-1] not in (["estimator"], ["study"], ["expect"]):
        names.pop()
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in names).removeprefix(".")


def _explained(details: Mapping[str, Any]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "missing"
    if kind == "extra_forbidden":
        *table, name = details["loc"]
        if table[:1] == ["study"]:
            table = table[2:] or ["study"]
        return str(unknown("key", name, _CLOSED_TABLES[".".join(part for part in table if isinstance(part, str))]))
    value = written(details["input"])
    if kind in _WORDING:
        return f"{value} is not {_WORDING[kind].format(**context)}"
    return f"{details['msg']}, not {value}"
