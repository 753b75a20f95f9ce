"""Errors whose message is the whole story for the reader."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from difflib import get_close_matches


class BadInput(Exception):
    """What the user asked for cannot be done as asked.

    The message is one line: what is wrong, where (file, key, value) and what would be right. The command line
    prints it without a traceback and exits with code 2.
    """


def unknown(kind: str, name: object, known: Iterable[str]) -> BadInput:
    """The error for a misspelt name: suggests the nearest known one, else lists them all."""
    names = sorted(known)
    close = get_close_matches(str(name), names, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"
    return BadInput(f"unknown {kind} '{name}': {hint}")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or that it has none."""
    return (str(error).strip() or "no message").splitlines()[0]


@contextmanager
def os_errors(what: str) -> Generator[None]:
    """Turn an ``OSError`` within the block into a :class:`BadInput` that begins with ``what``."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{what}: {error.strerror or error}") from error
