"""Stored files, each of which says the version of its schema."""

import json
import os
import re
import stat
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import BadInput
from harness.text import harmless

M = TypeVar("M", bound=BaseModel)


def opened(path: Path, most_bytes: int) -> BufferedReader:
    """A stored file, open for reading.

    Raises:
        BadInput: It is not a file (a pipe or a device would be read for ever), or larger than it may be.
        OSError: It cannot be opened.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{path}: not a file")
        if status.st_size > most_bytes:
            raise BadInput(f"{path}: {status.st_size:,} bytes, of which it may have {most_bytes:,}")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def content(path: Path, most_bytes: int) -> bytes:
    """All of a stored file, as by :func:`opened`."""
    with opened(path, most_bytes) as file:
        return file.read(most_bytes)


def parsed(model: type[M], text: bytes, where: str, newest: int, schema: str = "schema", *, strict: bool = True) -> M:
    """The model that a JSON text is.

    Args:
        model: Has a ``schema_version``.
        text: JSON.
        where: File, and line where it has several, to begin a message with; empty for the reason alone.
        newest: The latest version there is.
        schema: What the version is of.
        strict: Hold the text to what the model writes: no number in place of another kind of value, no key twice. Not
            needed for what is known to have been written by it.

    Raises:
        BadInput: It is of a later version, or damaged; says where.
    """
    begin = f"{where}: " if where else ""
    try:
        found = model.model_validate_json(text)
    except ValidationError as error:
        _refuse_unknown_version(text, begin, newest, schema)
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{begin}damaged ({_short(key) + ': ' if key else ''}{_short(what)})") from error
    known = "schema_version" in found.model_fields_set and 1 <= found.__dict__["schema_version"] <= newest
    if not known:
        _refuse_unknown_version(text, begin, newest, schema)
        raise BadInput(f"{begin}damaged (schema_version: there is no such {schema})")
    if strict and found.model_dump_json(exclude_unset=True).encode() != text:
        _require_as_written(found, text, begin)
    return _harmless(found) if _may_command(text) else found


def _may_command(text: bytes) -> bool:
    plain = text.isascii() and b"\\" not in text and b"\x7f" not in text  # nearly always, and much sooner known
    return not plain and _COMMANDS.search(text) is not None


_COMMANDS = re.compile(rb"\\[bfru]|\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
"""What a JSON text with a character in it that :func:`harness.text.harmless` writes out has at least one of."""


def _harmless(value: Any) -> Any:
    """The same with nothing in its texts that a terminal would obey: it may come from anyone."""
    match value:
        case str() if type(value) is str:  # not a status
            return harmless(value)
        case BaseModel():
            return value.model_copy(update={name: _harmless(each) for name, each in value})
        case dict():
            return {_harmless(name): _harmless(each) for name, each in value.items()}
        case list() | tuple():
            return type(value)(_harmless(each) for each in value)
        case _:
            return value


def _refuse_unknown_version(text: bytes, begin: str, newest: int, schema: str) -> None:
    """Another version may have anything in it, so that is what to say first."""
    try:
        written = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(written, dict):
        return
    version = written.get("schema_version")
    if version is None:
        raise BadInput(f"{begin}damaged (schema_version: Field required)")
    if type(version) is not int or version < 1:
        raise BadInput(f"{begin}damaged (schema_version: there is no {schema} {_short(json.dumps(version))})")
    if version > newest:
        raise BadInput(f"{begin}made by a newer imaml-bench ({schema} {version}; this one reads up to {newest})")


def _require_as_written(found: BaseModel, text: bytes, begin: str) -> None:
    """The text says what the model then holds: in other spaces and digits perhaps, not in other types."""
    try:
        written = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{begin}damaged ({_short(str(error))})") from error
    held = json.loads(found.model_dump_json(exclude_unset=True))
    if json.dumps(written) == json.dumps(held):
        return
    place = _differing(written, held)
    if place is not None:
        raise BadInput(f"{begin}damaged ({_short('.'.join(place))}: of another type than it has to be)")


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)}: is there twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _differing(written: Any, held: Any) -> list[str] | None:
    """Where a JSON value is not what is held; None where it is the same, whole numbers being floats as well."""
    if isinstance(written, dict) and isinstance(held, dict):
        pairs = ((name, written.get(name), held.get(name)) for name in written | held)
    elif isinstance(written, list) and isinstance(held, list) and len(written) == len(held):
        pairs = ((str(index), *pair) for index, pair in enumerate(zip(written, held, strict=True)))
    else:
        number = type(written) is int and type(held) is float
        return None if (number or type(written) is type(held)) and written == held else []
    places = ((name, _differing(*pair)) for name, *pair in pairs)
    return next(([name, *place] for name, place in places if place is not None), None)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:197]}..."
