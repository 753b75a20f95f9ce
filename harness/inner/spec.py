"""Inner solvers as one string: a name, or a name with parameters, ``nesterov(momentum=0.8)``.

One scalar names a solver in a suite, in a cell's key and in a table.
"""

import ast
import re
from typing import TypeAlias

from harness.errors import BadInput
from harness.inner.base import InnerSolver
from harness.registry import INNER_SOLVERS, all_parameters

Scalar: TypeAlias = bool | int | float | str

_FORM = re.compile(r"\s*([^\s()]+)\s*(?:\((.*)\)\s*)?", re.DOTALL)


def inner_solver(spec: str) -> InnerSolver:
    """The solver that ``spec`` names, as in ``inner_solver("newton-cg(cg_steps=10)")``.

    Raises:
        BadInput: No such solver or parameter, a value out of its range, or not of the form ``name`` or
            ``name(parameter=value, ...)`` with numbers, quoted strings, True and False for values.
    """
    name, parameters = parse(spec)
    return INNER_SOLVERS.create(name, **parameters)


def parse(spec: str) -> tuple[str, dict[str, Scalar]]:
    """Name and parameters, neither checked for being known.

    Raises:
        BadInput: ``spec`` is not of the form.
    """
    form = _FORM.fullmatch(spec) if isinstance(spec, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if form is None:
        raise _malformed(spec)
    source, parameters = f"_({form[2] or ''})", dict[str, Scalar]()
    for keyword in _keywords(spec, source):
        if keyword.arg is None:
            raise _malformed(spec)
        if keyword.arg in parameters:
            raise BadInput(f"inner solver {spec!r}: {keyword.arg} is given twice")
        try:
            value = ast.literal_eval(keyword.value)
        except (ValueError, TypeError):
            value = None
        if not isinstance(value, Scalar):
            written = ast.get_source_segment(source, keyword.value)
            wrong = f"{keyword.arg}: {written!r} is not a number, a quoted string, True or False"
            raise BadInput(f"inner solver {spec!r}: {wrong}")
        parameters[keyword.arg] = value
    return form[1], parameters


def complete(spec: str) -> str:
    """The same with all of the solver's parameters, the defaults too, so that two texts of one solver are equal.

    Raises:
        BadInput: As :func:`inner_solver`.
    """
    name, parameters = parse(spec)
    INNER_SOLVERS.create(name, **parameters)
    whole = all_parameters(INNER_SOLVERS.get(name), parameters)
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in sorted(whole.items()))})" if whole else name


def _keywords(spec: str, source: str) -> list[ast.keyword]:
    """The keywords of ``source``, a call and nothing else, unevaluated."""
    try:
        call = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _malformed(spec) from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise _malformed(spec)
    return call.keywords


def _malformed(spec: object) -> BadInput:
    return BadInput(f"inner solver {spec!r} is not of the form name or name(parameter=value, ...)")
