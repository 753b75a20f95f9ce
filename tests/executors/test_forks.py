"""The fork server's start, where it hangs or fails, and the end of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.errors import BadInput
from harness.executors import LocalExecutor, forks
from harness.executors.child import answer
from harness.executors.conversation import Conversation
from harness.executors.forks import ForkServer, ServerEnded
from harness.executors.server import TO_MEASURE

HANGS = "import ctypes, pathlib; pathlib.Path({mark!r}).touch(); ctypes.PyDLL(None).pause()"
PATIENCE_SECONDS = 120.0
TESTS = Path(__file__).parents[1]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while not condition():
        assert time.perf_counter() < deadline, "waited in vain"
        time.sleep(0.02)


def broken_torch(folder: Path, code: str) -> Path:
    """A folder with a torch that does this when it is imported."""
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text(code + "\n")
    return folder


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_an_import_that_hangs_has_a_limit_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"
    monkeypatch.syspath_prepend(broken_torch(tmp_path, HANGS.format(mark=str(mark))))
    server = ForkServer(dict(os.environ))
    wait_for(mark.exists)
    monkeypatch.setattr(forks, "START_SECONDS", 0)
    with pytest.raises(
        BadInput, match=r"^the fork server: importing torch\.autograd\.profiler: not finished after 0 s$"
    ):
        server.await_imports()
    assert gone(server.pid)


def test_an_import_that_exits_is_named_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(broken_torch(tmp_path, "import os; os.write(2, b'no such library\\n'); os._exit(3)"))
    server = ForkServer(dict(os.environ))
    with pytest.raises(ServerEnded) as caught:
        server.await_imports()
    assert str(caught.value) == (
        "importing torch.autograd.profiler: the fork server exited with code 3 before it finished: no such library"
    )


def test_a_module_that_cannot_be_imported_is_left_to_the_worker_that_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(broken_torch(tmp_path, "raise SystemExit('not today')"))
    server = ForkServer(dict(os.environ))
    server.await_imports()
    server.close()
    assert gone(server.pid)


def test_it_does_not_outlive_its_parent_when_an_import_hangs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    broken_torch(tmp_path, HANGS.format(mark=str(mark)))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from harness.executors import LocalExecutor; LocalExecutor().ready()\n"
    )
    process = psutil.Popen([sys.executable, "-c", code])
    try:
        wait_for(mark.exists)
        [server] = process.children(recursive=True)
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: gone(server.pid))
    assert gone(server.pid)


def test_it_ends_with_the_process_that_started_it() -> None:
    code = "from harness.executors import forks; print(forks.start().pid)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert gone(int(done.stdout))
    assert done.stderr == ""


def test_a_stopped_server_wakes_and_ends_with_its_parent() -> None:
    code = "from harness.executors import forks; import time; print(forks.ready().pid, flush=True); time.sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        os.kill(server, signal.SIGSTOP)
        process.kill()
    wait_for(lambda: gone(server))


DAEMONIC = """
import multiprocessing
from harness.executors import LocalExecutor

def ask():
    print(LocalExecutor().ask("os:getenv", "TMPDIR"), flush=True)

process = multiprocessing.get_context("fork").Process(target=ask, daemon=True)
process.start()
process.join()
"""


def test_it_serves_a_daemonic_process_and_needs_no_socket_in_the_temporary_folder(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["long" * 20] * 4)
    folder.mkdir(parents=True)
    environment = os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", DAEMONIC], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert (done.stdout, done.stderr) == (f"{folder}\n", "")


def test_what_measuring_needs_is_imported_when_a_cell_is_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TESTS)
    monkeypatch.setattr(forks, "_server", None)
    executor = LocalExecutor(plugins=["faults"])

    def imported() -> set[str]:
        return {name for name in TO_MEASURE if executor.ask("faults:has_imported", name)}

    try:
        assert imported() == set()
        executor.ready()
        assert imported() == {*TO_MEASURE}
        forks.start().kill()
        with Conversation(answer, "time:sleep", [(0,)], (), limit_seconds=60.0, to_measure=True) as worker:
            worker.hear()
        assert imported() == {*TO_MEASURE}
    finally:
        forks.start().close()
