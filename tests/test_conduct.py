"""Estimators that misbehave, measured: each ends in a status with its reason, and none as a success."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from harness import worker
from harness.bilevel import Problem, Task
from harness.cell import Cell, Part, Status
from harness.conduct import Surroundings
from harness.estimators import BatchMetaGradient
from harness.estimators.first_order import Fomaml
from harness.objective import Counts
from harness.passes import Found
from harness.pytree import Params
from harness.worker import Outcome, measure

CELL = Cell(
    problem=Part(name="linear", parameters={"dim": 4, "n": 8}),
    estimator=Part(name="mine"),
    label="mine",
    steps=2,
    dtype="float64",
    measure=("memory", "counters", "time", "phases"),
    min_seconds=0,
    max_seconds=0,
)


class Mine(Fomaml):
    """First-order MAML that also does what ``act`` does, from its ``first`` call on."""

    def __init__(self, act: Callable[[Params, Sequence[Task]], None], first: int = 1) -> None:
        super().__init__(steps=2, lr=0.5)
        object.__setattr__(self, "act", act)
        object.__setattr__(self, "left", first)

    def meta_gradients(self, problem: Problem, tasks: Sequence[Task], theta: Params) -> BatchMetaGradient:
        result = super().meta_gradients(problem, tasks, theta)
        object.__setattr__(self, "left", self.left - 1)  # pyright: ignore[reportAttributeAccessIssue]
        if self.left <= 0:  # pyright: ignore[reportAttributeAccessIssue]
            self.act(theta, tasks)  # pyright: ignore[reportAttributeAccessIssue]
        return result


class Returning(Fomaml):
    def __init__(self, result: Callable[[Params], object]) -> None:
        super().__init__(steps=2, lr=0.5)
        object.__setattr__(self, "result", result)

    def meta_gradients(self, problem: Problem, tasks: Sequence[Task], theta: Params) -> Any:
        return self.result(theta)  # pyright: ignore[reportAttributeAccessIssue]


def measured(monkeypatch: pytest.MonkeyPatch, estimator: Fomaml) -> tuple[Outcome, list[Found]]:
    monkeypatch.setattr(worker, "build_estimator", lambda cell: estimator)
    found: list[Found] = []
    return measure(CELL, found.append), found


def gradient(grad: object, loss: object = 1.0) -> Callable[[Params], object]:
    made = grad if callable(grad) else lambda theta: grad
    return lambda theta: BatchMetaGradient(made(theta), loss, Counts())  # pyright: ignore[reportArgumentType]


def changed(**entries: Any) -> Callable[[Params], object]:
    return gradient(lambda theta: {**theta, **entries})


ONES = torch.ones(4, dtype=torch.float64)


@pytest.mark.parametrize(
    ("result", "status", "reason"),
    [
        (lambda theta: None, Status.CRASH, "the estimator returned a NoneType, not a BatchMetaGradient with a dict"),
        (lambda theta: theta, Status.CRASH, "the estimator returned a dict, not a BatchMetaGradient"),
        (gradient({}), Status.CRASH, "the meta-gradient lacks 'w'"),
        (
            gradient(None),
            Status.CRASH,
            "a BatchMetaGradient, not a BatchMetaGradient with a dict as grad",
        ),
        (gradient({"v": ONES}), Status.CRASH, "the meta-gradient lacks 'w'"),
        (changed(v=ONES), Status.CRASH, "the meta-gradient has 'v', which theta has not"),
        (changed(w=None), Status.CRASH, "the meta-gradient's 'w' is None, not a tensor"),
        (changed(w=[1.0] * 4), Status.CRASH, "the meta-gradient's 'w' is a list, not a tensor"),
        (changed(w=ONES[:3]), Status.CRASH, r"'w' has shape (3,), theta's has (4,)"),
        (changed(w=ONES[None]), Status.CRASH, r"'w' has shape (1, 4), theta's has (4,)"),
        (changed(w=ONES.float()), Status.CRASH, "'w' has dtype torch.float32, theta's has torch.float64"),
        (changed(w=ONES.to("meta")), Status.CRASH, "'w' has device meta, theta's has cpu"),
        (changed(w=ONES * torch.inf), Status.DIVERGED, "the meta-gradient is not finite at K = 2"),
        (gradient(dict, float("nan")), Status.DIVERGED, "the query loss is not finite at K = 2"),
        (gradient(dict, torch.tensor(float("inf"))), Status.DIVERGED, "the query loss is not finite at K = 2"),
        (gradient(dict, ONES), Status.CRASH, "query_loss has shape (4,) and dtype torch.float64; a real scalar is due"),
        (gradient(dict, None), Status.CRASH, "not a BatchMetaGradient"),
        (gradient(dict, 1j), Status.CRASH, "query_loss has shape () and dtype torch.complex64"),
    ],
)
def test_what_it_returns_is_judged(
    monkeypatch: pytest.MonkeyPatch, result: Callable[[Params], object], status: Status, reason: str
) -> None:
    outcome, found = measured(monkeypatch, Returning(result))
    assert (outcome.status, found) == (status, [])
    assert reason in (outcome.reason or "")


def overwrite(theta: Params, tasks: Sequence[Task]) -> None:
    theta["w"].mul_(0.5)


def overwrite_unseen(theta: Params, tasks: Sequence[Task]) -> None:
    theta["w"].data[0] += 1e-12


def overwrite_support(theta: Params, tasks: Sequence[Task]) -> None:
    tasks[0].support[0].mul_(0.5)


def overwrite_query(theta: Params, tasks: Sequence[Task]) -> None:
    tasks[0].query[1][0] = 0


MISCHIEF: list[tuple[Callable[..., object], str]] = [
    (lambda *_: torch.set_num_threads(3), "changed torch's number of threads from 1 to 3; set it back"),
    (lambda *_: torch.set_default_dtype(torch.float64), "changed torch's default dtype from torch.float32 to"),
    (lambda *_: torch.set_default_device("meta"), "changed torch's default device from cpu to meta"),
    (lambda *_: torch.set_grad_enabled(False), "changed whether gradients are recorded from True to False"),
    (lambda *_: torch.set_float32_matmul_precision("medium"), "the precision of matrix products from"),
    (lambda *_: torch.autograd.set_detect_anomaly(True), "torch's anomaly detection"),
    (lambda *_: torch.set_flush_denormal(True), "flushing of denormal numbers from False to True"),
    (lambda *_: torch.use_deterministic_algorithms(True), "the use of deterministic algorithms"),
    (lambda *_: torch.rand(1), "drew from torch's global random state"),
    (lambda *_: torch.manual_seed(1), "drew from torch's global random state"),
    (lambda *_: random.random(), "drew from Python's global random state"),
    (lambda *_: np.random.rand(), "drew from NumPy's global random state"),
    (overwrite, "changed theta in place"),
    (overwrite_unseen, "changed theta in place"),
    (overwrite_support, "changed the tasks' support data in place"),
    (overwrite_query, "changed the tasks' query data in place"),
]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch):
    """What the tests change, as it was, afterwards."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    precision = torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.set_float32_matmul_precision(precision)
    torch.autograd.set_detect_anomaly(False)
    torch.set_flush_denormal(False)
    torch.use_deterministic_algorithms(False)
    torch.set_rng_state(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.parametrize(("act", "reason"), MISCHIEF, ids=[reason for _, reason in MISCHIEF])
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_what_it_changes_is_judged_whichever_call_it_is(
    monkeypatch: pytest.MonkeyPatch, act: Callable[..., None], reason: str, first: int
) -> None:
    outcome, found = measured(monkeypatch, Mine(act, first))
    assert outcome.status is Status.CRASH
    assert outcome.reason is not None
    assert reason in outcome.reason
    assert len(found) == (0 if first == 1 else 1)  # the pass it happened in says nothing


def test_who_leaves_all_as_it_was_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def careful(theta: Params, tasks: Sequence[Task]) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(1)
        copy = theta["w"].clone()
        copy.mul_(2)
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        torch.set_num_threads(threads)

    outcome, found = measured(monkeypatch, Mine(careful))
    assert outcome == Outcome(Status.OK)
    assert len(found) == 4


def test_surroundings_tell_values_shapes_and_dtypes_apart() -> None:
    of = [torch.tensor(each) for each in ([1.0, 2.0], [[1.0, 2.0]], [1.0, -2.0], 0.0, -0.0)]
    of += [of[0].half(), of[0].bfloat16(), torch.empty(0), torch.empty(0, 3)]
    digests = {Surroundings.of({"w": each}, []).data["theta"] for each in of}
    assert len(digests) == len(of)
