"""One fault planted on problems of several kinds: its name is the right one or "unknown", and never another."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import harness
from harness.bilevel import Problem, Task
from harness.cell import Reference
from harness.pytree import Params
from tests.combinations import by_turns
from tests.validation.plain import Implicit, Unrolled


def module() -> harness.ModuleProblem:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()

    def examples(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        inputs = torch.randn(12, 3, generator=generator, dtype=torch.float64)
        return inputs, inputs.sum(1, keepdim=True).sin()

    def draw(n: int, seed: int) -> list[Task]:
        generator = torch.Generator().manual_seed(seed)
        return [Task(examples(generator), examples(generator)) for _ in range(n)]

    return harness.ModuleProblem(layers, torch.nn.functional.mse_loss, draw)


PROBLEMS: dict[str, Callable[[], dict[str, Any]]] = {
    "linear": lambda: {"problem": "linear", "dim": 12, "n": 24},
    "sinusoid": lambda: {"problem": "sinusoid", "hidden": [6], "activation": "tanh"},
    "logistic": lambda: {"problem": "logistic", "dim": 8, "n": 20},
    "mlp": lambda: {"problem": "mlp", "width": 5, "depth": 2, "inputs": 3, "activation": "tanh"},
    "module": lambda: {"problem": module()},
}
UNROLLED = {
    "linear": Unrolled(),
    "sinusoid": Unrolled(lr=0.05),
    "logistic": Unrolled(lr=0.5),
    "mlp": Unrolled(lr=0.2),
    "module": Unrolled(lr=0.2),
}
IMPLICIT = {
    "linear": Implicit(cg_steps=30),
    "sinusoid": Implicit(lam=20.0, lr=0.02, cg_steps=30),
    "logistic": Implicit(lr=0.3, cg_steps=30),
    "mlp": Implicit(lam=10.0, lr=0.07, cg_steps=30),
    "module": Implicit(lam=10.0, lr=0.07, cg_steps=30),
}


def exchanged(task: Task) -> Task:
    return Task(task.query, task.support)


OF_UNROLLED: dict[str, tuple[str, Callable[[Unrolled], Any]]] = {
    "sign": ("sign", lambda right: replace(right, sign=-1.0)),
    "factor": ("factor", lambda right: replace(right, factor=3.0)),
    "factor near 1": ("factor", lambda right: replace(right, factor=1 + 1e-6)),
    "first order": ("first-order", lambda right: replace(right, second_order=False)),
    "first order, wrong sign": ("first-order", lambda right: replace(right, second_order=False, sign=-1.0)),
    "detached": ("detached", lambda right: replace(right, detached=True)),
    "last steps": ("truncated", lambda right: replace(right, last=4)),
    "last steps, straight": ("truncated", lambda right: replace(right, last=4, straight=True)),
    "a step too few": ("steps", lambda right: replace(right, steps=7)),
    "other steps": ("steps", lambda right: replace(right, steps=5)),
    "no proximal term": ("proximal", lambda right: replace(right, lam=0.0)),
    "proximal term to 0": ("proximal-centre", lambda right: replace(right, centre=0.0)),
    "lambda": ("lambda", lambda right: replace(right, lam=2 * right.lam)),
    "step size": ("step-size", lambda right: replace(right, lr=1.1 * right.lr)),
    "odd step size": ("step-size", lambda right: replace(right, lr=1.337 * right.lr)),
    "inner loss": ("inner-loss", lambda right: replace(right, inner_factor=2.0)),
    "heavy ball": ("inner-solver", lambda right: replace(right, heavy_ball=0.9)),
    "nesterov": ("inner-solver", lambda right: replace(right, nesterov=0.9)),
    "exchanged": ("data", lambda right: replace(right, exchange=exchanged)),
}
OF_IMPLICIT: dict[str, tuple[str, Callable[[Implicit], Any]]] = {
    "sign": ("sign", lambda right: replace(right, sign=-1.0)),
    "factor": ("factor", lambda right: replace(right, sign=3.0)),
    "lambda": ("lambda", lambda right: replace(right, lam=2 * right.lam)),
    "system lambda": ("linear-lambda", lambda right: replace(right, linear_lam=5 * right.lam)),
    "damping": ("linear-lambda", lambda right: replace(right, linear_lam=5 * right.lam, damping=1.0)),
    "system sign": ("system-sign", lambda right: replace(right, system_sign=-1.0)),
    "cg": ("cg-steps", lambda right: replace(right, cg_steps=2)),
    "normal": ("normal-equations", lambda right: replace(right, solver="normal", cg_steps=2)),
    "minres": ("minres-steps", lambda right: replace(right, solver="minres", cg_steps=2)),
    "neumann": ("neumann", lambda right: replace(right, solver="neumann", cg_steps=4, eta=0.1)),
    "first order": ("first-order", lambda right: replace(right, second_order=False)),
    "centre": ("proximal-centre", lambda right: replace(right, centre=0.0)),
    "exchanged": ("data", lambda right: replace(right, exchange=exchanged)),
}


def named(report: harness.ValidationReport) -> list[str]:
    assert not report.passed
    return report.cause.kind.split(" or ") if report.cause else ["unknown"]


@pytest.mark.parametrize(("fault", "problem"), list(by_turns(OF_UNROLLED, [*PROBLEMS])))
def test_faults_of_backprop_have_their_name(fault: str, problem: str) -> None:
    right, (kind, planted) = UNROLLED[problem], OF_UNROLLED[fault]
    settings: dict[str, Any] = {"lam": right.lam, "steps": right.steps, "lr": right.lr, "seeds": 2}
    report = harness.validate(planted(right), vs="backprop", **settings, **PROBLEMS[problem]())
    assert kind in named(report), report


@pytest.mark.parametrize(
    ("fault", "problem"), list(by_turns(OF_IMPLICIT, ["linear", "logistic", "sinusoid", "linear", "mlp", "module"]))
)
def test_faults_of_the_implicit_method_have_their_name_or_none(fault: str, problem: str) -> None:
    right, (kind, planted) = IMPLICIT[problem], OF_IMPLICIT[fault]
    settings: dict[str, Any] = {"lam": right.lam, "steps": right.steps, "lr": right.lr, "seeds": 2}
    report = harness.validate(planted(right), vs="implicit", **settings, **PROBLEMS[problem]())
    assert kind in named(report) or named(report) == ["unknown"], report


@pytest.mark.parametrize("vs", ["backprop", "implicit"])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(2, 10))])
def test_garbage_has_no_name(vs: Reference, seed: int) -> None:
    def garbage(problem: Problem, task: Task, theta: Params) -> Params:
        size = int(1e6 * float(task.query[1].abs().sum()))
        generator = torch.Generator().manual_seed(size)
        return {name: torch.randn(each.shape, generator=generator, dtype=each.dtype) for name, each in theta.items()}

    report = harness.validate(garbage, vs=vs, lam=0.5, steps=4, lr=0.4, seeds=[seed], dim=6, n=12)
    assert named(report) == ["unknown"], report


@pytest.mark.parametrize("change", [{"lr": 0.11}, {"factor": 2.0}])
def test_a_slip_on_a_network_whose_error_has_several_valleys(change: dict[str, float]) -> None:
    own = Unrolled(lam=0.0, steps=5, lr=change.get("lr", 0.1), inner_factor=change.get("factor", 1.0))
    settings: dict[str, Any] = {"problem": "sinusoid", "activation": "tanh", "steps": 5, "lr": 0.1}
    report = harness.validate(own, vs="backprop", **settings)
    found, loss = (0.11, "1.1") if "lr" in change else (0.2, "2")
    assert named(report) == ["step-size"]
    assert f"α = {found:g} instead of 0.1, or the inner loss times {loss}" in str(report.likely_cause)


def test_one_parameter_that_is_off_is_named() -> None:
    right = UNROLLED["mlp"]
    settings: dict[str, Any] = {"lam": right.lam, "steps": right.steps, "lr": right.lr, "seeds": 2}
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "'layer1.bias', which is zero": torch.zeros_like,
        "'layer1.bias', which has the wrong sign": torch.neg,
        "'layer1.bias', which is 3 times the reference": lambda grad: 3 * grad,
        "'layer1.bias'; what is wrong there is unknown": torch.sin,
    }
    for words, change in changes.items():

        def planted(problem: Problem, task: Task, theta: Params, change: Callable[[Tensor], Tensor] = change) -> Params:
            grad = right(problem, task, theta)
            return grad | {"layer1.bias": change(grad["layer1.bias"])}

        report = harness.validate(planted, vs="backprop", **settings, **PROBLEMS["mlp"]())
        assert named(report) == ["parameter"]
        assert words in str(report.likely_cause)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(torch.float32, "single precision"), (torch.float16, "half precision"), (torch.bfloat16, "bfloat16 precision")],
)
def test_a_precision_is_named_as_such(dtype: torch.dtype, name: str) -> None:
    def rounded(problem: Problem, task: Task, theta: Params) -> Params:
        return {key: each.to(dtype).double() for key, each in UNROLLED["linear"](problem, task, theta).items()}

    report = harness.validate(rounded, vs="backprop", lam=0.5, steps=8, lr=0.4, **PROBLEMS["linear"]())
    assert named(report) == ["precision"]
    assert f"computed in {name}" in str(report.likely_cause)


def test_a_reference_that_is_not_finite_is_not_blamed_on_the_function() -> None:
    with pytest.raises(harness.BadInput, match=r"reference 'backprop' is not finite: within K = 400 steps of lr = 100"):
        harness.validate(Unrolled(), vs="backprop", lam=0.5, steps=400, lr=100.0, seeds=1, dim=4, n=8)


def test_what_was_not_told_is_asked_for_where_nothing_is_found() -> None:
    report = harness.validate(Implicit(stale_residual=True), lam=0.5, seeds=1, dim=8, n=16)
    assert report.likely_cause == "unknown; tell steps=… and lr=… to have causes at φ_K looked for as well"
