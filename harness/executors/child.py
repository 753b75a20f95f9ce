"""The worker's side: does what it is asked, says what it found, and dies with whoever started it."""

import faulthandler
import gc
import io
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from time import perf_counter
from traceback import format_exc
from typing import Any, TypeAlias

from harness import registry
from harness.cell import Cell, Status
from harness.errors import BadInput, first_line, story
from harness.executors.lifetime import die_with
from harness.executors.messages import (
    Answer,
    Failed,
    Finished,
    FirstCall,
    Importing,
    Message,
    Progress,
    Refused,
    Request,
    written,
)

Send: TypeAlias = Callable[[Message], None]

WHERE_SIGNAL = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has none, and no workers
"""Asks a worker to write where it is to its standard error, whatever it hangs in."""


def begin(channel: int, output: int, server: int, lifeline: int) -> None:
    """Be a worker, in a process just forked: take one request and do it.

    Args:
        channel: Descriptor of the socket the request comes from and the messages go to.
        output: Descriptor that takes all output.
        server: The process this one was forked from.
        lifeline: Descriptor of a pipe that ends when that process does.
    """
    os.setsid()
    for each in (signal.SIGINT, signal.SIGCHLD, signal.SIGCONT):
        signal.signal(each, signal.SIG_DFL)
    if not die_with(server):
        Thread(target=_die_at_the_end_of, args=(lifeline,), daemon=True).start()
    _prefer_as_victim()
    _redirect(output)
    connection = socket.socket(fileno=channel)
    request: Request = pickle.loads(b"".join(iter(partial(connection.recv, 2**20), b"")))
    sys.path[:] = request.path
    if request.folder is not None:
        with suppress(OSError):
            os.chdir(request.folder)
    request.task(*request.arguments, send=lambda message: connection.sendall(written(message)))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def measure_cell(cell_json: str, traces: Path | None, plugins: Sequence[str], send: Send) -> None:
    """Measure the cell and send what comes of it."""
    start = perf_counter()
    registry.around_import = partial(importing, send=send)
    gc.freeze()  # what the server imported lives on: collecting it would copy its pages, a quarter of a second a cell
    try:
        import_plugins(plugins, send)
        status, reason = _measured(cell_json, traces, send)
    except BadInput as error:
        status, reason = Status.CRASH, first_line(error)
    except BaseException as error:  # a user's part may raise SystemExit, KeyboardInterrupt or one of its own
        status, reason = Status.CRASH, story(error, None)
    send(Finished(status=status, reason=reason, work_seconds=perf_counter() - start))


def _measured(cell_json: str, traces: Path | None, send: Send) -> tuple[Status, str | None]:
    from harness.passes import Found
    from harness.worker import measure

    def emit(found: Found) -> None:
        send(Progress(metrics=found.metrics, notes=found.notes))

    def first_call(rss_bytes: int) -> None:
        send(FirstCall(rss_bytes=rss_bytes))

    outcome = measure(Cell.model_validate_json(cell_json), emit, first_call=first_call, traces=traces)
    return outcome.status, outcome.reason


def answer(function: str, questions: Sequence[tuple[Any, ...]], plugins: Sequence[str], send: Send) -> None:
    """Send what ``module:function`` returns for each tuple of arguments, or what it raises."""
    registry.around_import = partial(importing, send=send)
    module, _, name = function.partition(":")
    for arguments in questions:
        try:
            import_plugins(plugins, send)
            message = Answer.of(getattr(import_module(module), name)(*arguments))
        except BadInput as error:
            message = Refused(message=str(error))
        except Exception:
            message = Failed(traceback=format_exc())
        except BaseException as error:
            message = Refused(message=f"{function}: {story(error, None)}")
        send(message)


def import_plugins(plugins: Sequence[str], send: Send) -> None:
    """Import the modules that register parts by hand.

    Raises:
        BadInput: One of them cannot be imported.
    """
    for plugin in plugins:
        try:
            with importing(f"plugin '{plugin}'", send=send):
                import_module(plugin)
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {first_line(error)}"
            raise BadInput(f"plugin '{plugin}': cannot be imported: {why}") from error


@contextmanager
def importing(what: str, *, send: Send) -> Generator[None]:
    """Tell what is imported meanwhile, lest nobody know what hangs or ends this process."""
    send(Importing(what=what))
    try:
        yield
    finally:
        send(Importing(what=""))


def ready() -> None:
    """What a caller asks to wait until the fork server has everything imported."""


def _redirect(output: int) -> None:
    """Lead all output, C's too, and what the interpreter says of a fatal signal to the descriptor."""
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    faulthandler.enable(2, all_threads=False)
    faulthandler.register(WHERE_SIGNAL, 2, all_threads=False)


def _prefer_as_victim() -> None:
    """Where memory runs out, let the kernel kill this process rather than the one that holds the results."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _die_at_the_end_of(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)
