"""What a user's or the system's wish to end the command does: everything is cleaned up, and nothing is left running."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

FATAL = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


class Ended(SystemExit):
    """The command was told to end by a signal; its exit code is a shell's for that, 128 and the signal's number."""


@contextmanager
def ended_by_signals() -> Generator[None]:
    """Within, a first signal unwinds what runs; a second one, which may come while that cleans up, ends it at once.

    Workers end by themselves when this process does, and a run directory is valid at any moment, so that nothing hangs
    on the cleaning up. A signal that is ignored already, as by ``nohup``, stays ignored.
    """
    if current_thread() is not main_thread():  # where Python takes no signals
        yield
        return
    handled = [each for each in FATAL if signal.getsignal(each) not in (signal.SIG_IGN, None)]

    def end(number: int, _: FrameType | None) -> None:
        for each in handled:
            signal.signal(each, lambda number, _: os._exit(128 + number))
        before.clear()
        raise KeyboardInterrupt if number == signal.SIGINT else Ended(128 + number)

    before = {each: signal.signal(each, end) for each in handled}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
