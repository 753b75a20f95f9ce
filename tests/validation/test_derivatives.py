"""Losses whose derivatives are wrong are found out, and kinks are no such thing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import harness
from harness.bilevel import Task
from harness.conformance.derivatives import derivative_fault
from harness.objective import Objective
from harness.pytree import Params
from tests.validation.plain import Unrolled
from tests.validation.test_conformance import Crooked, Wrong

Loss = Callable[[Params, Tensor], Tensor]


def right(params: Params, data: Tensor) -> Tensor:
    return ((data @ params["w"] + params["b"]).tanh() - 0.3).square().mean()


@dataclass(frozen=True)
class Losses:
    inner: Loss = right
    outer: Loss = right

    def theta(self) -> Params:
        return {"w": torch.linspace(-1, 1, 4, dtype=torch.float64), "b": torch.full((1,), 0.5, dtype=torch.float64)}

    def inner_loss(self, params: Params, support: Any) -> Tensor:
        return self.inner(params, support)

    def outer_loss(self, params: Params, query: Any) -> Tensor:
        return self.outer(params, query)

    def tasks(self, n: int, seed: int) -> list[Task]:
        generator = torch.Generator().manual_seed(seed)
        return [Task(*torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)) for _ in range(n)]


def without_grad(params: Params, data: Tensor) -> Tensor:
    with torch.no_grad():
        part = params["b"].square().sum()
    return right(params, data) + part


FAULTS: dict[str, tuple[Loss, str, str]] = {
    "detach": (lambda params, data: right(params, data) + params["b"].detach().square().sum(), "gradient", "'b'"),
    "data": (
        lambda params, data: right({**params, "w": params["w"].data}, data) + params["w"].sum(),
        "gradient",
        "'w'",
    ),
    "no_grad": (without_grad, "gradient", "'b'"),
    "backward": (lambda params, data: right(params, data) + Wrong.apply(params["w"]).sum(), "gradient", "'w'"),
    "double backward": (
        lambda params, data: right(params, data) + Crooked.apply(params["w"]).sum(),
        "Hessian-vector product",
        "'w'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_both_sides_share_is_said(fault: str) -> None:
    loss, what, name = FAULTS[fault]
    report = harness.validate(Unrolled(lr=0.1), Losses(inner=loss), "backprop", lam=0.5, steps=8, lr=0.1, seeds=1)
    assert not report.passed
    assert report.cause is not None
    assert report.cause.kind == "losses"
    said = str(report.likely_cause)
    assert said.startswith(f"inner_loss: its {what} is off by ")
    assert name in said
    assert said.endswith("the function and the reference both rest on it")


def test_the_outer_loss_is_held_to_its_gradient_too() -> None:
    loss = FAULTS["detach"][0]
    report = harness.validate(Unrolled(lr=0.1), Losses(outer=loss), "backprop", lam=0.5, steps=8, lr=0.1, seeds=1)
    assert str(report.likely_cause).startswith("outer_loss: its gradient is off by ")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("linear", {"dim": 6, "n": 9}), ("sinusoid", {}), ("mlp", {"width": 16, "depth": 4}), ("logistic", {})],
)
def test_kinks_raise_no_false_alarm(name: str, parameters: dict[str, Any], seed: int) -> None:
    problem = harness.problem(name, seed=seed, dtype="float64", **parameters)
    [task] = problem.tasks(1, seed)
    assert derivative_fault(Objective.of(problem, task, problem.theta(), 0.0), outer_twice=True) is None


def test_a_kink_at_theta_itself_raises_none_either() -> None:
    def kinked(params: Params, data: Tensor) -> Tensor:
        return right(params, data) + (params["w"] - torch.linspace(-1, 1, 4, dtype=torch.float64)).abs().sum()

    problem = Losses(inner=kinked)
    [task] = problem.tasks(1, 0)
    assert derivative_fault(Objective.of(problem, task, problem.theta(), 0.0)) is None
