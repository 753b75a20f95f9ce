"""Phases and steps against known delays, and their sum against a real estimator's time."""

import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch

import harness
from harness.inner import DifferentiableSolver, inner_solver
from harness.meters.phase_clock import phase_times
from harness.phases import listening, phase

CPU = torch.device("cpu")


class Hands:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


def implicit(hands: Hands, steps: tuple[float, ...]) -> None:
    """As an implicit estimator passes its marks, with something around each."""
    hands.wait(100.0)
    with phase("inner"):
        hands.wait(0.5)
        for seconds in steps:
            with phase("step"):
                hands.wait(seconds)
    hands.wait(100.0)
    with phase("query"):
        hands.wait(3.0)
    with phase("linear"):
        hands.wait(5.0)


def test_known_delays_are_read_to_their_phases_and_steps() -> None:
    hands = Hands()
    times = phase_times(lambda: implicit(hands, (1.0, 2.0)), CPU, 2, now=hands.now)
    assert times.seconds_by_phase == {"inner": [3.5, 3.5], "query": [3.0, 3.0], "linear": [5.0, 5.0]}
    assert times.step_seconds == [1.0, 2.0, 1.0, 2.0]


def test_entries_within_one_call_are_added() -> None:
    hands = Hands()

    def tasks() -> None:
        implicit(hands, (1.0,))
        implicit(hands, (2.0, 4.0))

    times = phase_times(tasks, CPU, 1, now=hands.now)
    assert times.seconds_by_phase == {"inner": [8.0], "query": [6.0], "linear": [10.0]}
    assert times.step_seconds == [1.0, 2.0, 4.0]


def test_steps_rebuilt_on_the_way_back_are_no_inner_steps() -> None:
    hands = Hands()

    def replay() -> None:
        with phase("inner"), phase("step"):
            hands.wait(1.0)
        with phase("backward"):
            hands.wait(2.0)
            with phase("step"):
                hands.wait(4.0)

    times = phase_times(replay, CPU, 1, now=hands.now)
    assert times.seconds_by_phase == {"inner": [1.0], "backward": [6.0]}
    assert times.step_seconds == [1.0]


def test_a_phase_holds_those_within_it_and_is_not_counted_twice() -> None:
    hands = Hands()

    def nested() -> None:
        with phase("backward"):
            hands.wait(1.0)
            with phase("linear"):
                hands.wait(2.0)
            with phase("backward"):
                hands.wait(4.0)

    assert phase_times(nested, CPU, 1, now=hands.now).seconds_by_phase == {"backward": [7.0], "linear": [2.0]}


def test_a_phase_that_a_call_does_not_enter_took_no_time() -> None:
    hands, names = Hands(), iter(["inner", "query"])

    def call() -> None:
        with phase(next(names)):
            hands.wait(1.0)

    assert phase_times(call, CPU, 2, now=hands.now).seconds_by_phase == {"inner": [1.0, 0.0], "query": [0.0, 1.0]}


def test_an_error_leaves_nobody_listening() -> None:
    heard: list[str] = []

    def fail() -> None:
        with phase("inner"), phase("step"):
            raise ArithmeticError("out")

    with listening(lambda name, entered: heard.append(name)):
        with pytest.raises(ArithmeticError, match="out"):
            phase_times(fail, CPU, 3)
        assert heard == []
        with phase("after"):
            pass
    assert heard == ["after", "after"]
    assert gc.isenabled()
    hands = Hands()
    assert phase_times(lambda: implicit(hands, (1.0,)), CPU, 1, now=hands.now).step_seconds == [1.0]


def test_garbage_is_not_collected_meanwhile() -> None:
    was_on: list[bool] = []
    phase_times(lambda: was_on.append(gc.isenabled()), CPU, 2)
    assert was_on == [False, False]


def test_marks_cost_next_to_nothing_when_nobody_listens() -> None:
    """What the shortest context manager costs, or a little more."""

    def entered(mark: Callable[[], AbstractContextManager[object]]) -> float:
        start = time.perf_counter()
        for _ in range(1000):
            with mark():
                pass
        return time.perf_counter() - start

    pairs = [(entered(lambda: phase("step")), entered(nullcontext)) for _ in range(20)]
    assert min(marked for marked, _ in pairs) < 3 * min(empty for _, empty in pairs)


ESTIMATORS = [
    ("maml", "gd", {"inner", "query", "backward"}),
    ("maml-replay", "nesterov", {"inner", "query", "backward"}),
    ("maml-checkpoint", "adam", {"inner", "query", "backward"}),
    ("imaml-cg", "gd", {"inner", "query", "linear"}),
    ("imaml-cg", "lbfgs", {"inner", "query", "linear"}),
    ("imaml-cg", "newton-cg", {"inner", "query", "linear"}),
    ("fomaml", "heavy-ball", {"inner", "query"}),
]


def estimate(name: str, inner: str, **changes: Any) -> Callable[[], object]:
    problem = harness.problem("mlp", width=64, depth=2)
    estimator = harness.estimator(name, **{"steps": 5, "lr": 0.01, "lam": 1.0, "inner": inner} | changes)
    tasks, theta = problem.tasks(2, 0), problem.theta()
    return lambda: estimator.meta_gradients(problem, tasks, theta)


@pytest.mark.parametrize(("name", "inner", "phases"), ESTIMATORS)
def test_an_estimators_phases_add_up_to_its_time(name: str, inner: str, phases: set[str]) -> None:
    call, walls = estimate(name, inner), list[float]()
    call()

    def timed() -> None:
        start = time.perf_counter()
        call()
        walls.append(time.perf_counter() - start)

    times = phase_times(timed, CPU, 5)
    assert set(times.seconds_by_phase) == phases
    assert len(times.step_seconds) == 5 * 2 * 5  # repeats, tasks, steps
    sums = [sum(seconds) for seconds in zip(*times.seconds_by_phase.values(), strict=True)]
    assert all(total <= wall for total, wall in zip(sums, walls, strict=True))
    assert max(total / wall for total, wall in zip(sums, walls, strict=True)) > 0.7
    inner_seconds = sum(times.seconds_by_phase["inner"])
    assert 0.5 * inner_seconds < sum(times.step_seconds) <= inner_seconds


def test_choosing_the_step_size_is_a_phase() -> None:
    assert "step size" in phase_times(estimate("fomaml", "gd", lr="auto"), CPU, 1).seconds_by_phase


@pytest.mark.parametrize("inner", ["gd", "lbfgs"])
def test_the_step_that_meets_the_tolerance_is_closed_too(inner: str) -> None:
    assert len(phase_times(estimate("imaml-cg", inner, tol=1e3), CPU, 1).step_seconds) == 2


def test_a_step_is_over_before_its_state_is_handed_on() -> None:
    open_steps: list[str] = []

    def listener(name: str, entered: bool) -> None:
        if entered:
            open_steps.append(name)
        else:
            open_steps.remove(name)

    solver, phi = inner_solver("gd"), torch.ones(2)
    assert isinstance(solver, DifferentiableSolver)
    with listening(listener):
        for _ in solver.walk(solver.initial(phi), lambda at: at, 2, 0.1):
            assert open_steps == []


def test_cuda_phases_are_read_from_events_after_one_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    hands, log = Hands(), list[str]()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            assert stream == "stream"
            log.append("record")
            self.at = hands.time

        def elapsed_time(self, later: "Event") -> float:
            assert log[-1] == "wait"
            return (later.at - self.at) * 1e3

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "stream")  # pyright: ignore[reportUnknownLambdaType]
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: log.append("wait"))  # pyright: ignore[reportUnknownLambdaType]
    times = phase_times(lambda: implicit(hands, (1.0, 2.0)), torch.device("cuda"), 1)
    assert times.seconds_by_phase == {
        name: [pytest.approx(s)] for name, s in (("inner", 3.5), ("query", 3), ("linear", 5))
    }
    assert times.step_seconds == pytest.approx([1.0, 2.0])
    assert log == ["wait", *["record"] * 11, "wait"]
