"""Marks in the estimators' and inner solvers' code that say what is being done, for the meters that want to know.

``with phase("inner"):`` costs one global look-up unless a meter listens.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import TracebackType

Listener = Callable[[str, bool], None]
"""Called with the phase's name and ``True`` on entry, ``False`` on exit."""

_listener: Listener | None = None
_rounds: int | None = None


class phase:
    """Mark a block as part of the phase ``name``.

    ``inner``: the inner loop; ``query``: loss and gradient at its end; ``backward``: the way back through the loop;
    ``linear``: the linear solve; ``step size``: choosing α. ``step``: one step of an inner solver, in ``inner`` where
    it is taken or in ``backward`` where it is rebuilt.
    """

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


def alike(times: int) -> Sequence[int]:
    """The indices of a loop whose rounds hold the same memory or ever more: a forecast needs only some and the last."""
    if _rounds is None or times <= _rounds:
        return range(times)
    return [*range(_rounds - 1), times - 1]


@contextmanager
def shortened(rounds: int) -> Generator[None]:
    """Let loops over :func:`alike` within the block have ``rounds`` rounds: for runs whose results do not matter."""
    global _rounds
    previous, _rounds = _rounds, rounds
    try:
        yield
    finally:
        _rounds = previous


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Send every phase mark within the block to ``listener``."""
    global _listener
    previous, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = previous
