"""A worker process as seen by who asks it: started, asked, listened to and ended, each within a limit."""

import os
import pickle
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from harness.errors import os_errors
from harness.executors import forks
from harness.executors.child import WHERE_SIGNAL
from harness.executors.forks import END_SECONDS, RESPONSE_SECONDS, how_ended, last_line
from harness.executors.messages import MESSAGE_BYTES, Importing, Message, Request, read
from harness.executors.server import NUMBER
from harness.text import harmless

IMPORT_SECONDS = 60.0
"""Longest an import of another package's code may take: seconds where it brings a framework of its own."""

OUTPUT_BYTES = 8000
"""How much is kept of what a worker wrote, from its end."""

HANG_UP_SECONDS = 2.0
"""How long after a worker's last word the news of its end may take."""

WHERE_SECONDS = 0.2
"""How long a worker that is out of time has to write where it is."""


class Lost(Exception):
    """A worker from which nothing more will come; the message says why."""


class OutOfTime(Lost):
    """A worker that did not finish in time."""


class Killed(Lost):
    """A worker that was killed by a signal that nothing can be done about."""


class Conversation:
    """A worker that has been asked something. Leaving its ``with`` block ends it and everything it started.

    Args:
        task: What it is to do, a function of :mod:`harness.executors.child`.
        arguments: Of the task.
        limit_seconds: Longest it may take from now on; see :meth:`allow`.
        to_measure: Whether it needs all that is imported to measure a cell.

    Raises:
        Lost: It could not be started.
        BadInput: The fork server could not.
    """

    def __init__(
        self, task: Callable[..., None], *arguments: Any, limit_seconds: float, to_measure: bool = False
    ) -> None:
        folder = None
        with suppress(FileNotFoundError):
            folder = str(Path.cwd())
        request = pickle.dumps(Request(task, arguments, tuple(sys.path), folder))
        self._lines, self._searched = bytearray(), 0
        self._output = b""
        self._exit_code: int | None = None
        self._has_ended = False
        self._importing = ""
        self._import_deadline = float("inf")
        self.pid = self._fork(to_measure)
        self.allow(limit_seconds)
        self._selector = selectors.DefaultSelector()
        for each in (self._channel, self._life, self._pipe):
            self._selector.register(each, selectors.EVENT_READ)
        try:
            self._say(request)
        except BaseException:
            self.end()
            raise

    def allow(self, seconds: float) -> None:
        """Set the limit anew, from now on."""
        self._limit_seconds = seconds
        self._deadline = perf_counter() + seconds

    def hear(self) -> Message:
        """The worker's next message.

        Raises:
            Lost: There is none, and will not be.
        """
        while True:
            end = self._lines.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._lines)
                if self._searched > MESSAGE_BYTES:
                    raise Lost(f"the worker sent more than {MESSAGE_BYTES >> 20} MiB in one message")
                self._await()
                continue
            line = bytes(self._lines[:end])
            del self._lines[: end + 1]
            self._searched = 0
            message = read(line)
            if message is None:
                raise Lost(f"the worker sent what is no message: {line[:60]!r}")
            if not isinstance(message, Importing):
                return message
            self._importing = message.what
            self._import_deadline = perf_counter() + IMPORT_SECONDS if message.what else float("inf")

    def is_over(self, seconds: float) -> bool:
        """Whether a message, the worker's end or the end of its time comes within so many seconds."""
        until = perf_counter() + seconds
        while True:
            ready = self._ready(until)
            if self._channel in ready or self._life in ready or perf_counter() > self._deadline:
                return True
            if perf_counter() >= until:
                return False

    def end(self) -> None:
        """End the worker and everything it started."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._exit_code is None:
            with suppress(OSError):
                self._life.shutdown(socket.SHUT_WR)
                self._exit_code = self._number(END_SECONDS)
            if self._exit_code is None:
                self._server.kill()  # it has ended, hangs, or cannot end the worker: the next has a server of its own
        self._drain()
        self._selector.close()
        for each in (self._channel, self._life, self._pipe):
            each.close()

    @property
    def output(self) -> str:
        """The end of what it wrote to its standard output and error, control characters written out."""
        said, _, _ = self._output.partition(b"\nExtension modules: ")  # the interpreter's list, after a fatal signal
        return harmless(said.decode(errors="replace")).strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def _fork(self, to_measure: bool) -> int:
        """Have the worker started, by another server where the first one has been killed or does not answer."""
        for _ in range(2):
            self._server = forks.ready(to_measure=to_measure)
            with os_errors("no worker can be started"):
                self._channel, channel = socket.socketpair()
                self._life, life = socket.socketpair()
                descriptor, output = os.pipe()
            self._pipe = FileIO(descriptor)
            os.set_blocking(descriptor, False)
            pid = None
            with suppress(OSError):
                try:
                    self._server.fork(channel.fileno(), life.fileno(), output)
                finally:  # before anything is awaited: what this process holds open does not end with the server
                    channel.close()
                    life.close()
                    os.close(output)
                pid = self._number(RESPONSE_SECONDS)
            if pid is not None and pid > 0:
                return pid
            for each in (self._channel, self._life, self._pipe):
                each.close()
            if pid is not None:
                raise Lost(f"no worker could be started: {os.strerror(-pid)}")
            self._server.kill()
        raise Lost(f"no worker could be started: {self._server.ending}")

    def _say(self, request: bytes) -> None:
        self._channel.settimeout(self._limit_seconds)
        try:
            self._channel.sendall(request)
            self._channel.shutdown(socket.SHUT_WR)
        except TimeoutError:
            raise OutOfTime(self._too_late()) from None
        except OSError:
            pass  # it has ended; what there is to hear says how

    def _await(self) -> None:
        """Wait until more of a message has come."""
        limit = min(self._deadline, self._import_deadline)
        ready = self._ready(limit)
        if self._channel in ready:
            content = self._received()
            if not content:
                raise self._loss()
            self._lines += content
        elif self._life in ready:
            raise self._loss()
        elif perf_counter() >= limit:
            self._ask_where()
            raise OutOfTime(self._too_late())

    def _ready(self, until: float) -> set[Any]:
        """Who has something to say by then; the worker's output is read on the way."""
        ready = {key.fileobj for key, _ in self._selector.select(max(0.0, until - perf_counter()))}
        if self._pipe in ready:
            self._drain()
        return ready

    def _received(self) -> bytes:
        try:
            return self._channel.recv(2**20)
        except OSError:
            return b""

    def _drain(self) -> None:
        """Read what the worker wrote, as much as a pipe holds, and keep the end."""
        for _ in range(16):
            content = self._pipe.read(2**16)
            if not content:
                if content is not None and not self._has_ended:
                    self._selector.unregister(self._pipe)  # closed on the other side, and ready for ever
                return
            self._output = (self._output + content)[-OUTPUT_BYTES:]

    def _loss(self) -> Lost:
        """How the worker came to send no more."""
        try:
            exit_code = self._number(HANG_UP_SECONDS)
        except TimeoutError:
            return Lost(f"{self._at}the worker hung up before it finished")
        if exit_code is None:
            self._server.kill()
            return Lost(f"{self._at}{self._server.ending}, and the worker with it")
        self._exit_code = exit_code
        said, _, _ = self._output.partition(b"Fatal Python error: ")  # whose lines say where, but not why
        words = last_line(said)
        kind = Killed if exit_code == -signal.SIGKILL else Lost
        return kind(f"{self._at}{how_ended('the worker', exit_code)}{words and f': {words}'}")

    def _too_late(self) -> str:
        seconds = min(self._limit_seconds, IMPORT_SECONDS) if self._importing else self._limit_seconds
        return f"{self._at}not finished after {seconds:g} s"

    @property
    def _at(self) -> str:
        return f"importing {self._importing}: " if self._importing else ""

    def _number(self, seconds: float) -> int | None:
        """A number from the server; ``None`` where it has ended."""
        self._life.settimeout(seconds)
        try:
            content = self._life.recv(NUMBER.size)
        except ConnectionError:
            return None
        return NUMBER.unpack(content)[0] if len(content) == NUMBER.size else None

    def _ask_where(self) -> None:
        """Have a worker that is out of time write where it hangs."""
        with suppress(OSError):
            os.kill(self.pid, WHERE_SIGNAL)
        until = perf_counter() + WHERE_SECONDS
        while perf_counter() < until:  # it comes in many small pieces
            self._ready(until)
