"""Stored files, each of which says the version of its schema."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from harness.cell import Model
from harness.errors import BadInput

M = TypeVar("M", bound=Model)


class _Versioned(BaseModel):
    schema_version: int


def parsed(model: type[M], text: bytes, where: str, newest: int, schema: str = "schema") -> M:
    """The model that a JSON text is.

    Args:
        model: Has a ``schema_version``.
        text: JSON.
        where: File, and line where it has several, to begin a message with.
        newest: The latest version there is.
        schema: What the version is of.

    Raises:
        BadInput: It is of a later version, or damaged; says where.
    """
    try:
        version = _Versioned.model_validate_json(text).schema_version
        if version > newest:
            reads = f"this one reads up to {newest}"
            raise BadInput(f"{where}: made by a newer imaml-bench ({schema} {version}; {reads})")
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{where}: damaged ({key + ': ' if key else ''}{what})") from error
