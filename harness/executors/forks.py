"""The fork server as seen by the process that has it fork workers."""

import atexit
import os
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import RLock
from time import monotonic
from uuid import uuid4

import psutil

from harness.errors import BadInput, cut
from harness.executors.server import FORK, IMPORT, START_SECONDS
from harness.text import harmless

SERVER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # a process that forks must have one thread
    "KINETO_LOG_LEVEL": "99",  # the profiler's own log lines are noise among a worker's output
    "TORCH_CPP_LOG_LEVEL": "ERROR",  # and so are the allocator's, where memory runs out: that is a status
    "GOMP_SPINCOUNT": "10000",  # threads that spin for long make a busy machine 20 times slower
}
"""What the workers' environment says where the user's says nothing."""

MARK = "IMAML_BENCH_FORK_SERVER"
"""Environment variable by which the descendants of a fork server are known when it can no longer end them.

One that has started another program without its environment is then not found.
"""

RESPONSE_SECONDS = 30.0
"""Longest to wait for what the server does at once, on a machine that is short of everything."""

END_SECONDS = 10.0
"""Longest to wait for the end of what has been killed: in an uninterruptible call of the kernel, a process stays."""


class ServerEnded(Exception):
    """The fork server ended, or does not answer; the message says how."""


class ForkServer:
    """A process with torch imported that forks workers. It ends itself, and them, should this process be killed.

    Args:
        environment: Its environment, and that of all workers.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.owner = os.getpid()
        self._mark = uuid4().hex
        self._start = monotonic()
        self._is_ready = self._can_measure = False
        self._control, control = socket.socketpair()
        self._control.settimeout(RESPONSE_SECONDS)
        self._output, output = os.pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from harness.executors.server import serve; serve({control.fileno()}, {self.owner})"
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, *_interpreter_flags(), "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment | {MARK: self._mark},
                pass_fds=[control.fileno()],
                start_new_session=True,
            )
        finally:
            control.close()
            os.close(output)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def await_imports(self, *, to_measure: bool = False) -> None:
        """Wait until it has everything imported.

        Args:
            to_measure: That measuring a cell needs; else that any worker does.

        Raises:
            ServerEnded: It ended before.
            BadInput: It did not get there in time; the message says at what it was. It has been killed.
        """
        if not self._is_ready:
            self._await_imports()
            self._is_ready = True
        if to_measure and not self._can_measure:
            self._start = monotonic()
            with suppress(OSError):  # its end is seen below
                self._control.sendall(IMPORT)
            self._await_imports()
            self._can_measure = True

    def _await_imports(self) -> None:
        said, told = b"", b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            if not self._is_ready:
                selector.register(self._output, selectors.EVENT_READ)
            while not told.endswith(b"\n\n"):
                seconds = self._start + START_SECONDS - monotonic()
                ready = [key.fileobj for key, _ in selector.select(seconds)]
                at = next((line for line in reversed(told.decode().splitlines()) if line), "Python")
                if self._output in ready:
                    said = (said + (content := os.read(self._output, 2**16)))[-2000:]
                    if not content:
                        selector.unregister(self._output)
                if self._control in ready:
                    told += (content := self._control.recv(2**12))
                    if not content:
                        self.kill()
                        words = last_line(said)
                        raise ServerEnded(f"importing {at}: {self.ending}{words and f': {words}'}")
                elif seconds <= 0:
                    self.kill()
                    raise BadInput(f"the fork server: importing {at}: not finished after {START_SECONDS} s")

    def fork(self, *descriptors: int) -> None:
        """Ask for a worker, to be given the descriptors; see :mod:`harness.executors.server` for what they are.

        Raises:
            OSError: The server has ended, or does not take it.
        """
        socket.send_fds(self._control, [FORK], descriptors)

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return how_ended("the fork server", self._process.poll())

    def close(self) -> None:
        """Have it end itself and what it started, and wait for that."""
        if self._is_ready:
            self._control.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it and whatever it started, whether it answers or not."""
        ended_itself = self._process.poll() == 0
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        self._control.close()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1
        if self._is_ready and not ended_itself:
            _kill_marked(self._mark)

    def disown(self) -> None:
        """Let go of it, in a process forked from the one that started it."""
        self._control.close()
        os.close(self._output)
        self._process.returncode = 0  # not for this process to wait for


_lock = RLock()
_server: ForkServer | None = None
_environment: dict[str, str] | None = None


def start() -> ForkServer:
    """The fork server, started now unless it runs.

    Every one of this process has the environment of the first: all workers measure under the same conditions.

    Raises:
        BadInput: It would have no working directory, without which libraries cannot be loaded.
    """
    global _server, _environment
    with _lock:
        if _server is not None and _server.owner != os.getpid():
            _server.disown()
            _server = None
        if _server is not None and not _server.lives:
            _server.kill()
            _server = None
        if _server is None:
            try:
                Path.cwd()
            except FileNotFoundError:
                raise BadInput("the working directory has been removed; change to one that exists") from None
            _environment = _environment or SERVER_ENVIRONMENT | os.environ
            _server = ForkServer(_environment)
        return _server


def ready(*, to_measure: bool = False) -> ForkServer:
    """The fork server with everything imported; another one, once, where it is killed meanwhile.

    Args:
        to_measure: Whether a cell is to be measured: that takes more than questions do.

    Raises:
        BadInput: It cannot import what workers need, or not in time.
    """
    with _lock:
        try:
            server = start()
            server.await_imports(to_measure=to_measure)
        except ServerEnded:
            server = start()
            try:
                server.await_imports(to_measure=to_measure)
            except ServerEnded as ended:
                raise BadInput(str(ended)) from None
        return server


@atexit.register
def _close() -> None:
    if _server is not None and _server.owner == os.getpid():
        _server.close()


def how_ended(what: str, exit_code: int | None) -> str:
    """How a process ended that did not come to its end, in words."""
    if exit_code is None or exit_code >= 0:
        return f"{what} exited with code {exit_code} before it finished"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:  # a real-time signal
        name = f"signal {-exit_code}"
    hint = ", perhaps by the kernel for want of memory" if name == "SIGKILL" else ""
    return f"{what} was killed by {name}{hint}"


def last_line(output: bytes) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    return cut(harmless(next((line for line in reversed(lines) if line), "")), 200)


def _kill_marked(mark: str) -> None:
    """Kill what a fork server and its workers have started and what has outlived it, and wait for its end."""
    killed: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                process.kill()
                killed.append(process)
    psutil.wait_procs(killed, END_SECONDS)


def _interpreter_flags() -> list[str]:
    return subprocess._args_from_interpreter_flags()  # pyright: ignore  # as multiprocessing does
