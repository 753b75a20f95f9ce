import pytest
import torch
from torch import Tensor, nn

import harness
from harness.bilevel import Task
from harness.errors import BadInput
from harness.problems.module import ModuleProblem


def draw(n: int, seed: int) -> list[Task]:
    generator = torch.Generator().manual_seed(seed)

    def data() -> tuple[Tensor, Tensor]:
        inputs = torch.randn(8, 3, generator=generator, dtype=torch.float64)
        return inputs, inputs.sum(1, keepdim=True).sin()

    return [Task(data(), data()) for _ in range(n)]


def problem(*layers: nn.Module) -> ModuleProblem:
    module = nn.Sequential(nn.Linear(3, 4), *layers, nn.Tanh(), nn.Linear(4, 1)).double()
    return ModuleProblem(module, lambda out, targets: (out - targets).square().mean(), draw)


def test_a_module_is_a_problem_like_any_other() -> None:
    own = problem(nn.BatchNorm1d(4, track_running_stats=False))
    [task] = own.tasks(1, 0)
    before = {name: p.clone() for name, p in own.module.named_parameters()}
    results = [
        harness.estimator(name, steps=5, lr=0.1, lam=1.0).meta_gradient(own, task, own.theta()).grad
        for name in ("maml", "maml-replay")
    ]
    assert results[0].keys() == before.keys()
    for name, parameter in own.module.named_parameters():
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-10, atol=1e-12)
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


def test_theta_is_that_of_the_module_when_the_problem_was_made() -> None:
    own = problem()
    start = own.theta()["0.weight"].clone()
    with torch.no_grad():
        own.module[0].weight.zero_()  # pyright: ignore
    assert torch.equal(own.theta()["0.weight"], start)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.BatchNorm1d(4), "module 1: BatchNorm1d keeps running statistics"),
        (nn.InstanceNorm1d(4, track_running_stats=True), "module 1: InstanceNorm1d keeps running statistics"),
        (nn.Dropout(0.1), "module 1: Dropout draws random numbers"),
        (nn.MultiheadAttention(4, 1, dropout=0.2), "module 1: MultiheadAttention has dropout 0.2"),
    ],
)
def test_impure_layers_are_refused_unless_in_eval_mode(layer: nn.Module, message: str) -> None:
    with pytest.raises(BadInput, match=f"^{message}"):
        problem(layer)
    problem(layer.eval())


@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.BatchNorm1d(4, track_running_stats=False), nn.LayerNorm(4)])
def test_pure_layers_are_not(layer: nn.Module) -> None:
    assert problem(layer).theta()


def test_a_module_without_parameters() -> None:
    with pytest.raises(BadInput, match="module Tanh has no parameters"):
        ModuleProblem(nn.Tanh(), lambda out, _: out.sum(), draw)
