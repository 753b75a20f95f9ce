"""A fresh process for every cell and question, forked from a server that has torch imported."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from pickle import UnpicklingError
from time import perf_counter
from typing import Any

from pydantic import ValidationError

from harness.cell import Cell, Measurement, Status
from harness.cgroups import count_oom_kills
from harness.errors import BadInput, cut
from harness.executors import forks
from harness.executors.child import answer, measure_cell
from harness.executors.conversation import Conversation, Killed, Lost, OutOfTime
from harness.executors.messages import Answer, Failed, Finished, FirstCall, Message, Progress, Refused
from harness.executors.watch import watch_rss
from harness.text import harmless

QUESTION_SECONDS = 60.0
"""Longest an answer may take where the caller says nothing else: a first use of CUDA takes some seconds of it."""

OUTPUT = "output"
"""The note that holds the end of what a cell's worker wrote to its standard output and error."""


class WorkerDied(BadInput):
    """A worker that was asked something ended before it answered: killed, by an exit in a user's part, or late."""


class LocalExecutor:
    """Measures cells one after another on this machine, so that none disturbs another.

    Args:
        plugins: Modules each worker imports first, for parts registered by hand instead of by entry points.
    """

    def __init__(self, plugins: Iterable[str] = ()) -> None:
        self._plugins = tuple(plugins)

    def start(self) -> None:
        """Start the fork server now, so that it imports torch while the caller does something else."""
        forks.start()

    def ask(self, function: str, *arguments: Any, limit_seconds: float = QUESTION_SECONDS) -> Any:
        """The result of ``module:function`` called in a worker, where torch and CUDA may be touched.

        Raises:
            BadInput: The function raised it.
            WorkerDied: The worker ended without an answer, or did not answer within the limit.
            RuntimeError: The function raised anything else; the message is its traceback.
        """
        [result] = self.ask_each(function, [arguments], limit_seconds=limit_seconds)
        if isinstance(result, WorkerDied):
            raise result
        return result

    def ask_each(
        self, function: str, questions: Sequence[tuple[Any, ...]], *, limit_seconds: float = QUESTION_SECONDS
    ) -> Iterator[Any]:
        """The results of ``module:function`` for each tuple of arguments, in their order and as they come.

        One worker answers them in turn. Where it ends or hangs, the answer is the :class:`WorkerDied` that says so,
        and another worker goes on with the next question.

        Args:
            function: What to call.
            questions: With which arguments.
            limit_seconds: Longest each answer may take.

        Raises:
            BadInput: The function raised it.
            RuntimeError: The function raised anything else; the message is its traceback.
        """
        answered = 0
        while answered < len(questions):
            try:
                rest = questions[answered:]
                with Conversation(answer, function, rest, self._plugins, limit_seconds=limit_seconds) as worker:
                    for _ in rest:
                        message = worker.hear()
                        answered += 1
                        yield _result(function, message)
                        worker.allow(limit_seconds)
            except Lost as lost:
                answered += 1
                yield WorkerDied(f"{function}: {lost}")

    def ready(self) -> None:
        """Wait until the fork server has everything imported, so that no cell pays for it."""
        self.ask("harness.executors.child:ready")
        forks.ready(to_measure=True)

    def run(self, cells: Iterable[Cell]) -> Iterator[Measurement]:
        """Measure each cell; whatever becomes of it is a measurement, and the next one goes on."""
        self.ready()
        for cell in cells:
            yield self.measure(cell)

    def measure(self, cell: Cell, repeat: int = 0, traces: Path | None = None) -> Measurement:
        """Measure a cell in its ``repeat``-th process; with ``traces``, leave its memory timeline in that folder."""
        forks.ready(to_measure=True)
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        start, oom_kills = perf_counter(), count_oom_kills()
        record = _Record()
        try:
            with Conversation(
                measure_cell,
                *(cell.model_dump_json(), traces, self._plugins),
                limit_seconds=cell.time_limit_seconds,
                to_measure=True,
            ) as worker:
                try:
                    record.follow(worker)
                finally:
                    worker.end()
                    record.keep_output(worker.output)
        except Lost as lost:
            record.status = Status.TIMEOUT if isinstance(lost, OutOfTime) else Status.CRASH
            record.reason = str(lost)
            if isinstance(lost, Killed) and count_oom_kills() != oom_kills:
                record.status, record.reason = Status.OOM, "the kernel killed the worker for want of memory"
        if record.work_seconds is not None:
            record.metrics["overhead_seconds"] = [perf_counter() - start - record.work_seconds]
        return record.measurement(cell, started_at, repeat)


def _result(function: str, message: Message) -> Any:
    match message:
        case Answer():
            try:
                return message.value()
            except UnpicklingError as error:
                raise RuntimeError(f"{function} answered with something foreign: {error}") from None
        case Refused():
            raise BadInput(message.message)
        case Failed():
            raise RuntimeError(f"{function} failed in its worker:\n{message.traceback}")
        case _:
            raise Lost("the worker answered something else")


@dataclass
class _Record:
    """What a worker has told so far."""

    metrics: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    status: Status = Status.CRASH
    reason: str | None = None
    work_seconds: float | None = None

    def follow(self, worker: Conversation) -> None:
        """Take what the worker tells, asleep in between, until it has finished.

        Raises:
            Lost: It did not.
        """
        while True:
            match message := worker.hear():
                case Finished():
                    self.status, self.work_seconds = message.status, message.work_seconds
                    self.reason = None if message.reason is None else cut(harmless(message.reason))
                    return
                case Progress():
                    self.notes |= message.notes
                    for name, samples in message.metrics.items():
                        self.metrics.setdefault(name, []).extend(samples)
                case FirstCall():
                    if seen := watch_rss(worker.pid, worker.is_over):
                        self.metrics["rss_watched_bytes"] = [max(0, max(seen) - message.rss_bytes)]
                case _:
                    raise Lost("the worker told of something else")

    def keep_output(self, output: str) -> None:
        """Note what the worker wrote."""
        if output:
            self.notes[OUTPUT] = output

    def measurement(self, cell: Cell, started_at: str, repeat: int) -> Measurement:
        """What became of the cell."""
        known: dict[str, Any] = {"key": cell.key, "cell": cell, "started_at": started_at, "repeat": repeat}
        try:
            return Measurement(**known, status=self.status, reason=self.reason, notes=self.notes, metrics=self.metrics)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            reason = f"the worker told what cannot be: {cut(harmless(where))}: {error.errors()[0]['msg']}"
            return Measurement(**known, status=Status.CRASH, reason=reason)
