"""The process that workers are forked from: it has torch imported, runs no user's code, and outlives no parent.

It starts each worker and ends it with everything it started. As orphans become its children (where the kernel can),
a worker's descendants are found however they have hidden: once a worker has ended, they are children of this process.
"""

import gc
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

import psutil

from harness import registry
from harness.executors.child import begin
from harness.executors.lifetime import adopt_orphans, die_with

FIRST = [
    "torch.autograd.profiler",
    "torch.utils.flop_counter",
    "harness.worker",
    *(module for kind in registry.REGISTRIES for module in kind.modules()),
]
"""What is imported once, so that a worker starts in milliseconds instead of the seconds torch takes.

None of it may start a thread or touch CUDA.
"""
TO_MEASURE = ["torch._dynamo", "scipy.stats"]
"""What measuring a cell needs besides, imported when the first is to be: it takes as long again."""

START_SECONDS = 300
"""Longest the imports may take: seconds where the files are at hand, minutes over a slow network."""
ORPHANS_SECONDS = 2.0
"""Longest to wait for killed descendants of a worker: one in an uninterruptible call of the kernel stays."""
NUMBER = struct.Struct("!q")
"""How a process id, an exit code, or the negative number of an error at forking is sent."""
FORK, IMPORT = b"f", b"i"
"""What the parent asks for: a worker; that everything be imported that a cell needs."""


def serve(control: int, parent: int) -> None:
    """Import what workers need, then fork and end them until the parent goes.

    Args:
        control: Descriptor of the socket on which the parent asks. It is told the name of each module before its
            import, a line each, and an empty line when all are there.
        parent: Its process id.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)  # an import may hang, and nothing has been started yet that had to be ended
    signal.alarm(2 * START_SECONDS)  # should the parent not be there to see to it, nor the kernel
    channel = socket.socket(fileno=control)
    _import(FIRST, channel)
    signal.alarm(0)
    _silence()
    die_with(parent, signal.SIGCONT)  # wakes this process, should it be stopped, to see that the parent has gone
    workers = _Workers(channel, parent)
    try:
        workers.serve()
    finally:
        workers.end_all()
        os._exit(0)


def _import(modules: Sequence[str], told: socket.socket) -> None:
    for module in modules:
        told.sendall(f"{module}\n".encode())
        with suppress(Exception, SystemExit):  # a worker that needs it says what is wrong with it
            import_module(module)
    gc.freeze()  # what has been imported lives on: looking through it for garbage would copy its pages in every worker
    told.sendall(b"\n")


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


class _Workers:
    """The workers that live, each with a socket to whoever asked for it.

    On that socket goes the worker's process id, then, when it and all it started have ended, its exit code. When the
    other side stops sending or is gone, the worker is ended.
    """

    def __init__(self, control: socket.socket, parent: int) -> None:
        self._control = control
        self._parent = parent
        self._adopts = adopt_orphans()
        self._askers: dict[int, socket.socket] = {}
        self._unkillable: set[int] = set()
        self._lifeline = os.pipe()
        """Ends when this process does, for workers that the kernel does not end then."""
        self._awake, self._wake = os.pipe()
        for descriptor in (self._awake, self._wake):
            os.set_blocking(descriptor, False)
        for each in (signal.SIGCHLD, signal.SIGCONT):
            signal.signal(each, lambda *_: None)
        signal.set_wakeup_fd(self._wake)
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._selector.register(self._awake, selectors.EVENT_READ)

    def serve(self) -> None:
        """Do as asked until the parent is gone."""
        while os.getppid() == self._parent:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    asked, descriptors, _, _ = socket.recv_fds(self._control, len(FORK), 3)
                    if not asked:
                        return
                    if asked == IMPORT:
                        _import(TO_MEASURE, self._control)
                    else:
                        self._fork(*descriptors)
                elif key.fileobj == self._awake:
                    with suppress(BlockingIOError):
                        os.read(self._awake, 2**16)
                    self._reap()
                elif key.data in self._askers:
                    self._selector.unregister(key.fileobj)
                    self._kill(key.data)

    def _fork(self, channel: int, asker_descriptor: int, output: int) -> None:
        asker = socket.socket(fileno=asker_descriptor)
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or 1)
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                self._selector.close()
                for each in (self._control, asker, *self._askers.values()):
                    each.close()
                for descriptor in (self._awake, self._wake, self._lifeline[1]):
                    os.close(descriptor)
                begin(channel, output, server, self._lifeline[0])
            finally:
                os._exit(1)
        os.close(channel)
        os.close(output)
        with suppress(OSError):  # the asker has gone, which its end of the socket is about to say
            asker.sendall(NUMBER.pack(pid))
        if pid > 0:
            self._askers[pid] = asker
            self._selector.register(asker, selectors.EVENT_READ, pid)
        else:
            asker.close()

    def _kill(self, worker: int) -> None:
        """Kill a worker that has not been waited for, and what is known to be its own."""
        hidden: list[psutil.Process] = []
        if not self._adopts:
            with suppress(psutil.Error):
                hidden = psutil.Process(worker).children(recursive=True)
        for end in (os.kill, os.killpg):  # it may not have a group of its own yet
            with suppress(OSError):
                end(worker, signal.SIGKILL)
        for each in hidden:
            with suppress(psutil.Error):
                each.kill()

    def _reap(self) -> None:
        """Take leave of the children that have ended; of workers, tell."""
        ended: list[tuple[socket.socket, int]] = []
        with suppress(ChildProcessError):
            while (child := os.waitpid(-1, os.WNOHANG))[0]:
                if child[0] in self._askers:
                    ended.append((self._askers.pop(child[0]), os.waitstatus_to_exitcode(child[1])))
        if ended and not self._askers:  # an orphan may be of any worker that lives
            self._end_orphans()
        for asker, code in ended:
            with suppress(KeyError, ValueError):
                self._selector.unregister(asker)
            with suppress(OSError):
                asker.sendall(NUMBER.pack(code))
            asker.close()

    def _end_orphans(self) -> None:
        """Kill what workers that have ended left behind, and what that leaves behind in turn."""
        deadline = time.monotonic() + ORPHANS_SECONDS
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0]:
                    continue
            except ChildProcessError:
                return
            orphans = [each for each in psutil.Process().children() if each.pid not in self._unkillable]
            if not orphans:
                return
            if time.monotonic() > deadline:
                self._unkillable |= {each.pid for each in orphans}
                return
            for each in orphans:
                with suppress(psutil.Error):
                    each.kill()
            time.sleep(0.001)

    def end_all(self) -> None:
        """End the workers that live."""
        for pid in self._askers:
            self._kill(pid)
        deadline = time.monotonic() + ORPHANS_SECONDS
        while self._askers and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.001)
