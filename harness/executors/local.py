"""A fresh process for every cell, forked from a server that has torch imported."""

import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from os import environ, killpg
from pathlib import Path
from sys import modules
from time import perf_counter
from types import ModuleType
from typing import Any

from harness import registry
from harness.cell import Cell, Measurement, Status
from harness.errors import BadInput
from harness.executors.child import Failed, Finished, FirstCall, Progress, answer, child
from harness.executors.watch import watch_rss

PRELOAD = [
    "torch.autograd.profiler",
    "torch.utils.flop_counter",
    "torch._dynamo",
    "scipy.stats",
    "harness.executors.child",
    "harness.worker",
    *(module for kind in registry.REGISTRIES for module in kind.modules()),
]
"""What the fork server imports once, so that a cell starts in milliseconds instead of the seconds torch takes.

None of it may start a thread or touch CUDA.
"""

SERVER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # a process that forks must have one thread
    "KINETO_LOG_LEVEL": "99",  # the profiler's own log lines are noise on the user's terminal
    "TORCH_CPP_LOG_LEVEL": "ERROR",  # and so is the allocator's, where memory runs out: that is a status
    "GOMP_SPINCOUNT": "10000",  # threads that spin for long make a busy machine 20 times slower
}
"""What the workers' environment says where the user's says nothing."""


class WorkerDied(BadInput):
    """A worker that was asked something ended before it answered: killed, or by an exit in a user's part."""


class LocalExecutor:
    """Measures cells one after another on this machine, so that none disturbs another.

    Args:
        plugins: Modules each worker imports first, for parts registered by hand instead of by entry points.
    """

    def __init__(self, plugins: Iterable[str] = ()) -> None:
        self._plugins = tuple(plugins)
        self._context = get_context("forkserver")

    def start(self) -> None:
        """Start the fork server now, so that it imports torch while the caller does something else."""
        from multiprocessing.forkserver import ensure_running, set_forkserver_preload

        set_forkserver_preload(PRELOAD)
        with _server_environment():
            ensure_running()

    def ask(self, function: str, *arguments: Any) -> Any:
        """The result of ``module:function`` called in a worker, where torch and CUDA may be touched.

        Raises:
            BadInput: The function raised it.
            WorkerDied: The worker ended without an answer.
            RuntimeError: The function raised anything else; the message is its traceback.
        """
        self.start()
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=answer, args=(function, arguments, self._plugins, sender))
        with _without_main():
            process.start()
        sender.close()
        try:
            result = receiver.recv()
        except EOFError:
            process.join()
            raise WorkerDied(f"{function}: {_death(process.exitcode)}") from None
        finally:
            process.join()
            receiver.close()
        if isinstance(result, BadInput):
            raise result
        if isinstance(result, Failed):
            raise RuntimeError(f"{function} failed in its worker:\n{result.traceback}")
        return result

    def ready(self) -> None:
        """Wait until the fork server has everything imported, so that no cell pays for it."""
        self.ask("harness.executors.child:ready")

    def run(self, cells: Iterable[Cell]) -> Iterator[Measurement]:
        """Measure each cell; whatever becomes of it is a measurement, and the next one goes on."""
        self.ready()
        for cell in cells:
            yield self.measure(cell)

    def measure(self, cell: Cell, repeat: int = 0, traces: Path | None = None) -> Measurement:
        """Measure a cell in its ``repeat``-th process; with ``traces``, leave its memory timeline in that folder."""
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        start = perf_counter()
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=child, args=(cell.model_dump_json(), traces, self._plugins, sender))
        with _without_main():
            process.start()
        sender.close()
        record = _Record()
        try:
            record.follow(process, receiver, cell.time_limit_seconds)
        finally:
            _kill_group(process)
            process.join()
            receiver.close()
        status, reason = record.outcome(process.exitcode, cell.time_limit_seconds)
        process.close()
        if record.finished is not None:
            record.metrics["overhead_seconds"] = [perf_counter() - start - record.finished.work_seconds]
        return Measurement(
            key=cell.key,
            cell=cell,
            status=status,
            reason=reason,
            started_at=started_at,
            repeat=repeat,
            notes=record.notes,
            metrics=record.metrics,
        )


@dataclass
class _Record:
    """What a worker has told so far."""

    metrics: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    finished: Finished | None = None
    timed_out: bool = False

    def follow(self, process: ForkServerProcess, receiver: Connection, time_limit_seconds: float) -> None:
        """Read messages, asleep in between, until the worker finishes, dies or runs out of time."""
        deadline = perf_counter() + time_limit_seconds
        while self.finished is None:
            ready = wait([receiver, process.sentinel], timeout=max(0.0, deadline - perf_counter()))
            if not ready:
                self.timed_out = True
                return
            if receiver not in ready:
                return
            try:
                message: FirstCall | Progress | Finished = receiver.recv()
            except EOFError:
                process.join()
                return
            if isinstance(message, Finished):
                self.finished = message
            elif isinstance(message, Progress):
                self._take(message)
            else:
                self._watch(message, process, receiver, deadline)

    def _take(self, progress: Progress) -> None:
        self.notes |= progress.notes
        for name, samples in progress.metrics.items():
            self.metrics.setdefault(name, []).extend(samples)

    def _watch(self, before: FirstCall, process: ForkServerProcess, receiver: Connection, deadline: float) -> None:
        """The worker's resident memory until its next message, its death or the end of its time."""

        def over(seconds: float) -> bool:
            return bool(wait([receiver, process.sentinel], timeout=seconds)) or perf_counter() > deadline

        assert process.pid is not None
        seen = watch_rss(process.pid, over)
        if seen:
            self.metrics["rss_watched_bytes"] = [max(0, max(seen) - before.rss_bytes)]

    def outcome(self, exit_code: int | None, time_limit_seconds: float) -> tuple[Status, str | None]:
        """The cell's status and its reason."""
        if self.finished is not None:
            return self.finished.status, self.finished.reason
        if self.timed_out:
            return Status.TIMEOUT, f"not finished after {time_limit_seconds:g} s"
        return Status.CRASH, _death(exit_code)


def _death(exit_code: int | None) -> str:
    """How a worker ended that did not come to its end."""
    if exit_code is None or exit_code >= 0:
        return f"the worker exited with code {exit_code} before it finished"
    name = signal.Signals(-exit_code).name
    hint = ", perhaps by the kernel for want of memory" if name == "SIGKILL" else ""
    return f"the worker was killed by {name}{hint}"


def _kill_group(process: ForkServerProcess) -> None:
    """End the worker and whatever it started."""
    if process.pid is not None:
        try:
            killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()


@contextmanager
def _server_environment() -> Generator[None]:
    before = {name: environ.get(name) for name in SERVER_ENVIRONMENT}
    environ.update({name: value for name, value in SERVER_ENVIRONMENT.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                environ.pop(name, None)


@contextmanager
def _without_main() -> Generator[None]:
    """Hide the caller's main module, which a new process would otherwise import again, whatever it does on import."""
    main = modules["__main__"]
    modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        modules["__main__"] = main
