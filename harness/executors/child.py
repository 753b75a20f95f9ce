"""The worker's side: measures one cell, says what it found, and dies with whoever started it."""

import gc
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from pathlib import Path
from threading import Thread
from time import perf_counter
from traceback import format_exc
from typing import Any

from harness.cell import Cell, Status
from harness.errors import BadInput, first_line


@dataclass(frozen=True)
class FirstCall:
    """The call that meets a process nothing has run in yet begins now: its memory is worth watching from outside."""

    rss_bytes: int
    """Resident memory before it."""


@dataclass(frozen=True)
class Progress:
    """What a pass that has ended found."""

    metrics: dict[str, list[float]]
    notes: dict[str, str]


@dataclass(frozen=True)
class Finished:
    """The last message."""

    status: Status
    reason: str | None
    work_seconds: float
    """Time from the first line of the cell's own work to its last."""


def child(cell_json: str, traces: Path | None, plugins: tuple[str, ...], sender: Connection) -> None:
    """Measure the cell and send what comes of it; never returns."""
    os.setsid()
    _prefer_as_victim()
    Thread(target=_die_with_parent, daemon=True).start()
    start = perf_counter()
    gc.freeze()  # what the server imported lives on: collecting it would copy its pages, a quarter of a second a cell
    import_plugins(plugins)
    from harness.passes import Found
    from harness.worker import measure

    def emit(found: Found) -> None:
        sender.send(Progress(found.metrics, found.notes))

    def first_call(rss_bytes: int) -> None:
        sender.send(FirstCall(rss_bytes))

    outcome = measure(Cell.model_validate_json(cell_json), emit, first_call=first_call, traces=traces)
    sender.send(Finished(outcome.status, outcome.reason, perf_counter() - start))
    sender.close()
    os._exit(0)


@dataclass(frozen=True)
class Failed:
    """The answer of a worker in which something was raised that is no bad input."""

    traceback: str


def answer(function: str, arguments: tuple[Any, ...], plugins: tuple[str, ...], sender: Connection) -> None:
    """Send what ``module:function`` returns, the :class:`BadInput` it raises, or :class:`Failed`."""
    module, _, name = function.partition(":")
    try:
        import_plugins(plugins)
        result = getattr(import_module(module), name)(*arguments)
    except BadInput as error:
        result = error
    except Exception:
        result = Failed(format_exc())
    sender.send(result)


def import_plugins(plugins: tuple[str, ...]) -> None:
    """Import the modules that register parts by hand.

    Raises:
        BadInput: One of them cannot be imported.
    """
    for plugin in plugins:
        try:
            import_module(plugin)
        except Exception as error:
            why = f"{type(error).__name__}: {first_line(error)}"
            raise BadInput(f"plugin '{plugin}': cannot be imported: {why}") from error


def ready() -> None:
    """What a caller asks to wait until the fork server has everything imported."""


def _prefer_as_victim() -> None:
    """Where memory runs out, let the kernel kill this process rather than the one that holds the results."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)
