"""Errors whose message is the whole story for the reader."""

import sys
import sysconfig
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb

from harness.text import harmless

_PACKAGE = Path(__file__).parent
_LIBRARIES = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]

LONGEST_LINE = 2000
"""Characters of a message."""


class BadInput(Exception):
    """What the user asked for cannot be done as asked.

    The message is one line: what is wrong, where (file, key, value) and what would be right. The command line
    prints it without a traceback and exits with code 2. It may quote anything: line breaks and control characters are
    written out, and the middle of a long one is left out, between where that is and what would be right.
    """

    def __init__(self, message: str) -> None:
        half = LONGEST_LINE // 2
        message = harmless(message).replace("\n", "\\n").replace("\t", "\\t")
        super().__init__(message if len(message) <= LONGEST_LINE else f"{message[:half]}…{message[1 - half :]}")


def unknown(kind: str, name: object, known: Iterable[str]) -> BadInput:
    """The error for a misspelt name: suggests the nearest known one, else lists them all."""
    names = sorted(known)
    name = str(name) if len(str(name)) <= 100 else f"{str(name)[:97]}..."
    close = get_close_matches(name, names, n=1)
    listed = [f"'{each}'" for each in names] if any("," in each for each in names) else names
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(listed)}"
    return BadInput(f"unknown {kind} '{name}': {hint}")


MESSAGE_CHARACTERS = 1000
"""A longer line of an error's message is cut."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, cut and without control characters, or that it has none."""
    try:
        message = str(error).strip()
    except Exception as fault:
        message = f"a message that cannot be read ({type(fault).__name__})"
    return cut(harmless((message or "no message").splitlines()[0]))


def cut(text: str, characters: int = MESSAGE_CHARACTERS) -> str:
    """The text, or its beginning where it is longer than that."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def story(error: BaseException, part: object) -> str:
    """A user's exception in one line: its type, its message, and where in the user's code it arose, if it did.

    Args:
        error: What was raised.
        part: The user's function, class or object it was raised by: the last line in its file is the one to name.
            ``None`` where that is not known.
    """
    return f"{type(error).__name__}: {first_line(error)}{_place(error, _home(part))}"


@contextmanager
def faults_of(part: object, what: str) -> Generator[None]:
    """Turn an exception of a user's code within the block into a :class:`BadInput` that begins with ``what``.

    As in "problem 'mine': tasks() raised ValueError: no data (mine.py, line 21)". An exception of a part of this
    package, where no code of the user's is on the way to it, goes through: it is a fault of this package.
    """
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        if is_own_fault(error, part):
            raise
        raise BadInput(f"{what} raised {story(error, part)}") from error


def is_own_fault(error: Exception, part: object) -> bool:
    """Whether ``part`` is of this package, and no code of a user's was on the way to the error."""
    return _is_ours(_home(part)) and not _place(error, _home(part))


def _home(part: object) -> str:
    """The file of the module that a function, a class, or an object's class is of; none for PyTorch's, nobody's own."""
    module = getattr(part, "__module__", "") or ""
    return getattr(sys.modules.get(module), "__file__", None) or "" if module.split(".")[0] != "torch" else ""


def _place(error: BaseException, home: str) -> str:
    frames = [each for each in extract_tb(error.__traceback__) if not _is_ours(each.filename)]
    own = [each for each in frames if each.filename == home]
    last = next(reversed(own or [each for each in frames if not _is_installed(each.filename)]), None)
    return f" ({Path(last.filename).name}, line {last.lineno})" if last else ""


def _is_ours(file: str) -> bool:
    return Path(file).is_relative_to(_PACKAGE)


def _is_installed(file: str) -> bool:
    compiled = not file.endswith(".py")  # "<frozen …>", or Cython's
    return compiled or any(Path(file).is_relative_to(folder) for folder in _LIBRARIES)


@contextmanager
def os_errors(what: str) -> Generator[None]:
    """Turn an ``OSError`` within the block into a :class:`BadInput` that begins with ``what``."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{what}: {error.strerror or error}") from error
