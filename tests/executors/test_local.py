"""Whatever becomes of a cell is its status, and the next cell runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cell import Cell, Measurement, Part, Status
from harness.errors import BadInput
from harness.executors import LocalExecutor, WorkerDied

TESTS = Path(__file__).parents[1]


def cell(fault: str = "", estimator: str = "faulty", mark: str = "", time_limit_seconds: float = 60.0) -> Cell:
    return Cell(
        problem=Part(name="linear", parameters={"dim": 3, "n": 5}),
        estimator=Part(name=estimator, parameters={"fault": fault, "mark": mark}),
        label=fault or "works",
        steps=1,
        dtype="float32",
        measure=("memory", "counters", "time", "accuracy"),
        min_samples=2,
        min_seconds=0,
        max_seconds=0,
        time_limit_seconds=time_limit_seconds,
    )


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    monkeypatch.syspath_prepend(TESTS)
    return LocalExecutor(plugins=["faults"])


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("allocation", Status.OOM, "RuntimeError: "),
        ("memory-error", Status.OOM, "MemoryError: no message"),
        ("exception", Status.CRASH, "ValueError: what a surprise"),
        ("segfault", Status.CRASH, "the worker was killed by SIGSEGV"),
        ("sigkill", Status.CRASH, "the worker was killed by SIGKILL, perhaps by the kernel for want of memory"),
        ("exit", Status.CRASH, "the worker exited with code 7 before it finished"),
        ("not-finite", Status.DIVERGED, "the meta-gradient is not finite at K = 1"),
    ],
)
def test_a_failing_cell_has_its_status_and_the_next_one_runs(
    executor: LocalExecutor, fault: str, status: Status, reason: str
) -> None:
    failed, worked = executor.run([cell(fault), cell()])
    assert failed.status is status
    assert failed.reason is not None
    assert failed.reason.startswith(reason)
    assert "\n" not in failed.reason
    assert worked.status is Status.OK
    assert worked.reason is None


def test_a_hanging_cell_times_out_with_everything_it_started(executor: LocalExecutor, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    start = time.perf_counter()
    hung, worked = executor.run([cell("hang-with-children", mark=str(mark), time_limit_seconds=1.0), cell()])
    assert hung.status is Status.TIMEOUT
    assert hung.reason == "not finished after 1 s"
    assert worked.status is Status.OK
    assert time.perf_counter() - start < 30
    assert not alive(int(mark.read_text()))


def test_a_failed_cell_keeps_what_it_had_measured(executor: LocalExecutor) -> None:
    [late] = executor.run([cell(estimator="fails-late")])
    assert late.status is Status.CRASH
    assert late.reason == "ValueError: only now"
    assert len(late.metrics["wall_seconds"]) == 2
    assert late.metrics["peak_bytes"][0] > 0


def test_a_cell_costs_little_besides_its_own_work(executor: LocalExecutor) -> None:
    """A fraction of what a process that imports all anew would."""
    measurements = list(executor.run([cell()] * 5))
    overheads = [overhead(measurement) for measurement in measurements]
    assert min(overheads) > 0
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    assert min(overheads) < (time.perf_counter() - start) / 4


def overhead(measurement: Measurement) -> float:
    [seconds] = measurement.metrics["overhead_seconds"]
    return seconds


def test_each_cell_has_a_process_of_its_own(executor: LocalExecutor) -> None:
    assert executor.ask("os:getpid") != executor.ask("os:getpid") != os.getpid()


def test_the_fork_server_has_one_thread_and_no_cuda(executor: LocalExecutor) -> None:
    assert executor.ask("threading:active_count") == 1
    assert executor.ask("torch.cuda:_is_in_bad_fork") is False  # as it would be after is_available() in the server


def test_workers_leave_the_users_terminal_alone(executor: LocalExecutor) -> None:
    assert executor.ask("os:getenv", "TORCH_CPP_LOG_LEVEL") == os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR")


def test_bad_input_comes_back_from_a_worker(executor: LocalExecutor) -> None:
    with pytest.raises(BadInput, match="unknown device 'cdua': did you mean 'cuda'"):
        executor.ask("harness.machine:resolve_device", "cdua")


def test_any_other_exception_comes_back_with_its_traceback(
    executor: LocalExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        RuntimeError, match=r"^operator:truediv failed in its worker:\nTraceback [^$]*ZeroDivisionError"
    ):
        executor.ask("operator:truediv", 1, 0)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("function", "arguments", "end"),
    [
        ("os:_exit", (7,), "exited with code 7 before it finished"),
        ("signal:raise_signal", (11,), "was killed by SIGSEGV"),
    ],
)
def test_a_worker_that_dies_is_told_of_in_one_line(
    executor: LocalExecutor, function: str, arguments: tuple[int, ...], end: str
) -> None:
    with pytest.raises(WorkerDied, match=f"^{function}: the worker {end}$"):
        executor.ask(function, *arguments)


def test_workers_do_not_import_the_callers_main_module(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('imported', flush=True)\nfrom harness.executors import LocalExecutor\nLocalExecutor().ask('os:getpid')\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "imported\n"


def test_a_worker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(TESTS)!r}, {str(TESTS / 'executors')!r}]\n"
        "from test_local import LocalExecutor, cell\n"
        f"list(LocalExecutor(plugins=['faults']).run([cell('hang-with-children', mark={str(mark)!r})]))\n"
    )
    with subprocess.Popen([sys.executable, script]) as process:
        wait_for(lambda: mark.exists() and mark.read_text() != "", seconds=60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    grandchild = int(mark.read_text())
    wait_for(lambda: not alive(grandchild), seconds=10)
    assert not alive(grandchild)


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: object, seconds: float) -> None:
    assert callable(condition)
    deadline = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < deadline, "waited in vain"
        time.sleep(0.05)
