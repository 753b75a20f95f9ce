"""Estimators that the forecast has never seen: right where they can be run without data, and a reason elsewhere."""

import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from harness.estimators import Diagnostics, Estimate, Estimator
from harness.forecast import forecast
from harness.forecast.rehearsals import MOST_STEPS
from harness.objective import Objective
from harness.registry import ESTIMATORS
from tests.forecast.cells import cell, measured, only


@dataclass(frozen=True)
class Planted(Estimator):
    """Holds what ``kind`` says of vectors like θ, 8 numbers."""

    kind: str = "linear"

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        theta = objective.theta
        match self.kind:
            case "linear":
                kept = [theta.clone() for _ in range(self.steps)]
            case "quadratic":
                kept = [theta.clone() for _ in range(self.steps**2)]
            case "number":
                kept = [torch.zeros(int(theta.abs().sum().item()))]
            case "threads":
                kept = [torch.zeros(4 if torch._C._is_multithreading_enabled() else 3)]  # pyright: ignore[reportPrivateUsage]
            case "values":
                kept = [torch.from_numpy(theta.numpy()).clone()]
            case "nothing":
                return None  # type: ignore[return-value]  (what the test is about)
            case "exits":
                sys.exit(3)
            case "waits":
                kept = []
                while float(theta.sum()) > 0:
                    kept = [theta]
            case _:
                raise ValueError("cannot\nat all")
        return Estimate(theta.clone(), theta.sum(), Diagnostics(objective, theta, lr, len(kept)))


@dataclass(frozen=True)
class Rubbish(Estimator):
    """Computes nothing, and says ``said`` of what memory depends on."""

    said: Any = ()

    def meta_gradients(self, problem: object, tasks: object, theta: object) -> Any:
        return "rubbish"

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        raise NotImplementedError

    def memory_variables(self, steps: int) -> Any:
        return self.said


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS._targets, "planted", Planted)  # pyright: ignore[reportPrivateUsage]  (taken back)


def test_memory_that_is_linear_in_the_steps_is_extrapolated() -> None:
    one = cell("linear", "planted", 64, {"kind": "linear"})
    result = only(one)
    assert result.extrapolated
    assert result.peak_bytes == measured(one)


def test_a_run_of_its_own_is_not_extrapolated() -> None:
    assert not only(cell("linear", "planted", 3, {"kind": "linear"})).extrapolated


def test_memory_that_follows_no_law_is_run_instead() -> None:
    one = cell("linear", "planted", 30, {"kind": "quadratic"})
    result = only(one)
    assert not result.extrapolated
    assert result.peak_bytes == measured(one)


def test_many_steps_without_a_law_have_a_reason() -> None:
    result = only(cell("linear", "planted", MOST_STEPS + 1, {"kind": "quadratic"}))
    assert result.peak_bytes is None
    assert result.reason == f"memory follows no law in K, and {MOST_STEPS + 1} steps are too many to run"


def test_a_number_read_from_the_device_is_3() -> None:
    result = only(cell("linear", "planted", 3, {"kind": "number"}))
    vector, number = 8 * 4, 4
    assert result.peak_bytes == 2 * vector + 4 * number  # θ flat, the estimate; three numbers, the loss


def test_backward_passes_release_what_they_held_before_anyone_counts() -> None:
    """Autograd's own thread, which a GPU has, may do so later."""
    result = only(cell("linear", "planted", 3, {"kind": "threads"}))
    vector, number = 8 * 4, 4
    assert result.peak_bytes == 2 * vector + 4 * number  # θ flat, the estimate; three numbers, the loss


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("broken", "ValueError: cannot"),
        ("values", ""),
        ("nothing", "AttributeError: "),
        ("exits", "SystemExit: 3"),
        ("waits", "Endless: not at its end after 20,000 kernels"),
    ],
)
def test_what_cannot_be_run_without_data_has_a_reason(kind: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.forecast.live.MOST_KERNELS", 20_000)
    broken, sound = cell("linear", "planted", 3, {"kind": kind}), cell("linear", "fomaml", 3)
    first, second = forecast([broken, sound])
    assert first.peak_bytes is None
    assert first.reason is not None
    assert first.reason.startswith(reason)
    assert "\n" not in first.reason
    assert second.reason is None


@pytest.mark.parametrize("said", [None, "K", [1], ("K",), (1.5,), 3])
def test_rubbish_that_memory_is_said_to_depend_on_is_named(said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS._targets, "rubbish", lambda **own: Rubbish(said=said, **own))  # pyright: ignore[reportPrivateUsage]
    result = only(cell("linear", "rubbish", 5))
    assert result.peak_bytes is None
    assert result.reason == "BadInput: memory_variables(5) of Rubbish: not a tuple of whole numbers"


def test_what_computes_nothing_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS._targets, "rubbish", Rubbish)  # pyright: ignore[reportPrivateUsage]
    assert [result.peak_bytes for result in forecast([cell("linear", "rubbish", steps) for steps in (1, 3, 64)])] == [
        0
    ] * 3


def test_a_part_that_is_not_there_has_a_reason() -> None:
    result = only(cell("linear", "fomaml", 3).model_copy(update={"estimator": cell("linear", "nothing", 3).estimator}))
    assert result.peak_bytes is None
    assert result.reason is not None


def test_steps_share_their_runs_and_keep_their_order() -> None:
    cells = [cell("linear", "planted", steps, {"kind": "linear"}) for steps in (40, 5, 20)]
    assert [result.peak_bytes for result in forecast(cells)] == [measured(each) for each in cells]
