"""Marks in the estimators' code that say what is being done, for the meters that want to know.

``with phase("inner"):`` costs one global look-up unless a meter listens.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import TracebackType

Listener = Callable[[str, bool], None]
"""Called with the phase's name and ``True`` on entry, ``False`` on exit."""

_listener: Listener | None = None


class phase:
    """Mark a block as part of the phase ``name``: ``inner``, ``query``, ``backward`` or ``linear``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        if _listener is not None:
            _listener(self.name, True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _listener is not None:
            _listener(self.name, False)


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Send every phase mark within the block to ``listener``."""
    global _listener
    previous, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = previous
