"""Whatever a worker does, it ends within its limit with everything it started, and nothing it says goes elsewhere."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import psutil
import pytest

from harness.cell import Cell, Measurement, Part, Status
from harness.errors import BadInput
from harness.executors import LocalExecutor, WorkerDied, conversation, forks
from harness.executors.child import answer, measure_cell
from harness.executors.conversation import Conversation, Lost
from harness.executors.messages import Answer
from tests.processes import marked

TESTS = Path(__file__).parents[1]
PATIENCE_SECONDS = 120.0
"""Far more than anything here takes, far less than the hour a hanging part would."""


def cell(fault: str = "", mark: object = "", time_limit_seconds: float = 60.0) -> Cell:
    return Cell(
        problem=Part(name="linear", parameters={"dim": 3, "n": 5}),
        estimator=Part(name="faulty", parameters={"fault": fault, "mark": str(mark)}),
        label=fault or "works",
        steps=1,
        measure=("counters",),
        time_limit_seconds=time_limit_seconds,
    )


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    monkeypatch.syspath_prepend(TESTS)
    executor = LocalExecutor(plugins=["faults"])
    executor.ready()
    return executor


def descendants() -> set[int]:
    """What the fork server has started and lives, told by the mark in its environment."""
    server = forks.start()
    mark = psutil.Process(server.pid).environ()[forks.MARK]
    return {process.pid for process in marked(forks.MARK, mark)} - {server.pid}


def measured(executor: LocalExecutor, of: Cell) -> tuple[Measurement, float]:
    """A cell's measurement and the seconds it took, after which nothing is left and the next cell works."""
    start = time.perf_counter()
    measurement = executor.measure(of)
    seconds = time.perf_counter() - start
    assert descendants() == set()
    assert executor.measure(cell()).status is Status.OK
    return measurement, seconds


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while not condition():
        assert time.perf_counter() < deadline, "waited in vain"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    "fault",
    [
        "hang",
        "hang-holding-the-interpreter",
        "hang-ignoring-signals",
        "stop",
        "hang-with-children",
        "hang-with-hidden-grandchild",
        "endless-flood",
    ],
)
def test_a_worker_that_hangs_in_any_way_ends_within_its_limit(
    executor: LocalExecutor, tmp_path: Path, fault: str
) -> None:
    hung, seconds = measured(executor, cell(fault, tmp_path / "pid", time_limit_seconds=0.5))
    assert (hung.status, hung.reason) == (Status.TIMEOUT, "not finished after 0.5 s")
    assert seconds < PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("fault", "status"), [("hidden-grandchild", Status.OK), ("crash-with-hidden-grandchild", Status.CRASH)]
)
def test_a_daemon_does_not_survive_the_cell_it_was_started_in(
    executor: LocalExecutor, tmp_path: Path, fault: str, status: Status
) -> None:
    mark = tmp_path / "pid"
    found, _ = measured(executor, cell(fault, mark))
    assert found.status is status
    assert not mark.exists() or not lives(int(mark.read_text()))


def test_where_a_worker_hung_is_noted(executor: LocalExecutor) -> None:
    hung, _ = measured(executor, cell("hang", time_limit_seconds=1.0))
    assert 'faults.py"' in hung.notes["output"]
    assert "in estimate" in hung.notes["output"]


def test_where_a_worker_crashed_is_noted(executor: LocalExecutor) -> None:
    crashed, _ = measured(executor, cell("segfault"))
    assert crashed.reason == "the worker was killed by SIGSEGV"
    assert 'faults.py"' in crashed.notes["output"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("system-exit", "SystemExit: 7 (faults.py, line "),
        ("interrupt", "KeyboardInterrupt: no message (faults.py, line "),
        ("message-that-raises", "Unspeakable: a message that cannot be read (RuntimeError)"),
        ("escape-sequence", r"ValueError: \x1b]0;owned\x07"),
        ("close-everything", "the worker exited with code 1 before it finished"),
    ],
)
def test_whatever_is_raised_is_a_reason_and_nothing_on_the_terminal(
    executor: LocalExecutor, capfd: pytest.CaptureFixture[str], fault: str, reason: str
) -> None:
    failed, _ = measured(executor, cell(fault))
    assert failed.status is Status.CRASH
    assert failed.reason is not None
    assert failed.reason.startswith(reason)
    assert capfd.readouterr() == ("", "")


def test_a_message_is_cut(executor: LocalExecutor) -> None:
    failed, _ = measured(executor, cell("long-message"))
    assert failed.reason is not None
    assert len(failed.reason) < 1100
    assert failed.reason.endswith("xxx…")


def test_output_of_python_and_c_is_a_note_and_not_on_the_terminal(
    executor: LocalExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    worked, _ = measured(executor, cell("print"))
    assert worked.status is Status.OK
    assert worked.notes["output"] == "from Python \\x1b[31m\nfrom C\nand an error"
    assert capfd.readouterr() == ("", "")


def test_a_flood_of_output_is_kept_to_its_end(executor: LocalExecutor, capfd: pytest.CaptureFixture[str]) -> None:
    before = psutil.Process().memory_info().rss
    worked, _ = measured(executor, cell("flood"))
    assert worked.status is Status.OK
    assert worked.notes["output"].endswith("x\nat last")
    assert len(worked.notes["output"]) <= conversation.OUTPUT_BYTES
    assert psutil.Process().memory_info().rss - before < 50e6
    assert capfd.readouterr() == ("", "")


def test_a_cell_that_says_nothing_has_no_note(executor: LocalExecutor) -> None:
    assert "output" not in executor.measure(cell()).notes


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import time; time.sleep(3600)", "importing plugin 'bad': not finished after 1 s"),
        ("import ctypes; ctypes.PyDLL(None).pause()", "importing plugin 'bad': not finished after 1 s"),
        ("import os; os._exit(3)", "importing plugin 'bad': the worker exited with code 3 before it finished"),
        ("import os; os.abort()", "importing plugin 'bad': the worker was killed by SIGABRT"),
        ("raise SystemExit('enough')", "plugin 'bad': cannot be imported: SystemExit: enough"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: no message"),
        ("class E(Exception):\n  __str__ = None\nraise E", "plugin 'bad': cannot be imported: E: a message that"),
    ],
)
def test_a_plugin_that_hangs_or_exits_at_import_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    (tmp_path / "bad.py").write_text(code + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(conversation, "IMPORT_SECONDS", 1.0)
    with pytest.raises(BadInput) as caught:
        LocalExecutor(plugins=["bad"]).ready()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    measurement = LocalExecutor(plugins=["bad"]).measure(cell())
    assert measurement.status in (Status.CRASH, Status.TIMEOUT)
    assert measurement.reason is not None
    assert message in measurement.reason
    assert descendants() == set()
    assert capfd.readouterr() == ("", "")


def test_a_question_has_a_limit(executor: LocalExecutor) -> None:
    start = time.perf_counter()
    with pytest.raises(WorkerDied, match=r"^time:sleep: not finished after 0.3 s$"):
        executor.ask("time:sleep", 3600, limit_seconds=0.3)
    assert time.perf_counter() - start < PATIENCE_SECONDS
    assert descendants() == set()


def test_one_question_of_many_takes_no_other_down(executor: LocalExecutor) -> None:
    delays = [(0.0,), (3600.0,), (0.0,), ("bad",), (0.0,)]
    found = executor.ask_each("time:sleep", delays, limit_seconds=0.5)
    assert next(found) is None
    assert isinstance(next(found), WorkerDied)
    assert next(found) is None
    with pytest.raises(RuntimeError, match="TypeError"):
        next(found)
    assert descendants() == set()


def test_answers_come_as_they_are_known(executor: LocalExecutor) -> None:
    start = time.perf_counter()
    found = executor.ask_each("time:sleep", [(0.0,), (20.0,)])
    assert next(found) is None
    assert time.perf_counter() - start < 15
    found.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert descendants() == set()


def test_an_answer_makes_no_objects_but_this_packages_own(executor: LocalExecutor) -> None:
    class Sly:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1 + 1",)

    with pytest.raises(UnpicklingError, match=r"builtins\.eval is no class of this package"):
        Answer.of(Sly()).value()
    with pytest.raises(RuntimeError, match=r"answered with something foreign: .*PosixPath"):
        executor.ask("pathlib:Path", "/tmp")


def test_an_answer_may_be_large_and_a_larger_one_is_refused(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executor.ask("operator:mul", "x", 10**7) == "x" * 10**7
    monkeypatch.setattr(conversation, "MESSAGE_BYTES", 2**20)
    with pytest.raises(WorkerDied, match="the worker sent more than 1 MiB in one message"):
        executor.ask("operator:mul", "x", 10**7)


def test_what_is_no_message_is_a_crash(executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    received = Conversation._received  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Conversation, "_received", lambda self: b"\x80\x1b[2J\n" + received(self))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    garbled = executor.measure(cell())
    assert garbled.status is Status.CRASH
    assert garbled.reason == r"the worker sent what is no message: b'\x80\x1b[2J'"


def test_the_worker_of_a_killed_fork_server_is_not_blamed_and_conditions_stay(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def environment() -> dict[str, str]:
        names = [*forks.SERVER_ENVIRONMENT, "PATH"]
        return {name: executor.ask("os:getenv", name) for name in names}

    before, server = environment(), forks.start().pid
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    lost = executor.measure(cell("kill-the-fork-server"))
    assert lost.status is Status.CRASH
    assert lost.reason is not None
    assert lost.reason.startswith("the fork server was killed by SIGKILL")
    assert lost.reason.endswith("and the worker with it")
    assert forks.start().pid != server
    assert executor.measure(cell()).status is Status.OK
    assert environment() == before
    assert descendants() == set()


def test_a_fork_server_killed_between_cells_is_started_anew(executor: LocalExecutor) -> None:
    os.kill(forks.start().pid, signal.SIGKILL)
    start = time.perf_counter()
    assert executor.measure(cell()).status is Status.OK
    assert time.perf_counter() - start < conversation.RESPONSE_SECONDS


def test_what_a_killed_fork_server_leaves_is_ended(executor: LocalExecutor, tmp_path: Path) -> None:
    mark, server = tmp_path / "pid", forks.start()
    hidden = cell("hang-with-hidden-grandchild", mark).model_dump_json()
    with Conversation(measure_cell, hidden, None, ("faults",), limit_seconds=60.0) as worker:
        wait_for(mark.exists)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(Lost, match="the fork server was killed by SIGKILL"):
            worker.hear()
    wait_for(lambda: not lives(int(mark.read_text())))
    wait_for(lambda: not lives(worker.pid))  # its end came from the kernel, perhaps, and takes a moment


def test_a_fork_server_that_does_not_answer_is_replaced(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "RESPONSE_SECONDS", 0.5)
    server = forks.start().pid
    os.kill(server, signal.SIGSTOP)
    assert executor.measure(cell()).status is Status.OK
    assert not lives(server)


SCRIPT = f"""
import sys
sys.path[:0] = [{str(TESTS.parent)!r}, {str(TESTS)!r}, {str(TESTS / "executors")!r}]
from test_nothing_left import LocalExecutor, cell
executor = LocalExecutor(plugins=["faults"])
"""


@pytest.mark.parametrize(
    ("doing", "processes"),
    [
        ("executor.measure(cell('hang-holding-the-interpreter'))", 2),
        ("executor.measure(cell('hang-with-hidden-grandchild', MARK))", 3),
        ("executor.ready(); import time; time.sleep(3600)", 1),
        ("executor.start(); import time; time.sleep(3600)", 1),
    ],
    ids=["hung", "with a daemon", "idle", "starting"],
)
def test_nothing_outlives_a_killed_parent(tmp_path: Path, doing: str, processes: int) -> None:
    script = SCRIPT + doing.replace("MARK", repr(str(tmp_path / "pid")))
    process = psutil.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        wait_for(lambda: len(process.children(recursive=True)) >= processes)
        if "MARK" in doing:
            wait_for((tmp_path / "pid").exists)
        time.sleep(0.3)
        family = process.children(recursive=True)
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
    assert alive == []
    if "MARK" in doing:
        wait_for(lambda: not lives(int((tmp_path / "pid").read_text())))


def test_where_the_kernel_ends_no_orphans_workers_end_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems other than Linux: by the group, by the tree of processes, and by a pipe that ends."""

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **options: Any) -> None:
            refuse = "import harness.executors.lifetime; harness.executors.lifetime._prctl = lambda *_: False; "
            super().__init__(
                [*command[:-1], command[-1].replace("from harness", f"{refuse}from harness", 1)], **options
            )

    monkeypatch.syspath_prepend(TESTS)
    monkeypatch.setattr(forks, "_server", None)
    monkeypatch.setattr(forks.subprocess, "Popen", Popen)
    executor, mark = LocalExecutor(plugins=["faults"]), tmp_path / "pid"
    server = forks.ready()
    try:
        assert executor.measure(cell("hang-with-children", mark, time_limit_seconds=1.0)).status is Status.TIMEOUT
        wait_for(lambda: not lives(int(mark.read_text())))
        with Conversation(answer, "time:sleep", [(3600,)], (), limit_seconds=60.0) as worker:
            os.kill(server.pid, signal.SIGKILL)
            wait_for(lambda: not lives(worker.pid))
    finally:
        server.kill()
