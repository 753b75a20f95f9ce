import pytest
import torch
from torch import Tensor, nn

import harness
from harness import conformance
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


def frozen_first() -> ModuleProblem:
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    module[0].requires_grad_(False)
    return ModuleProblem(module, lambda out, targets: (out - targets).square().mean(), draw)


def test_frozen_parameters_are_constants() -> None:
    own = frozen_first()
    assert own.theta().keys() == {"2.weight", "2.bias"}
    [task] = own.tasks(1, 0)
    found = harness.estimator("maml", steps=3, lr=0.1, lam=1.0).meta_gradient(own, task, own.theta()).grad

    first, last = own.module.get_submodule("0"), own.module.get_submodule("2")
    features = Task(*((torch.tanh(first(inputs)), targets) for inputs, targets in (task.support, task.query)))
    head = ModuleProblem(nn.Sequential(last), own.loss, draw)
    expected = harness.estimator("maml", steps=3, lr=0.1, lam=1.0).meta_gradient(head, features, head.theta()).grad
    assert found.keys() == own.theta().keys()
    torch.testing.assert_close(found["2.weight"], expected["0.weight"], rtol=1e-12, atol=0)
    torch.testing.assert_close(found["2.bias"], expected["0.bias"], rtol=1e-12, atol=0)


def test_frozen_parameters_are_those_of_the_module_when_the_problem_was_made() -> None:
    own = frozen_first()
    [task] = own.tasks(1, 0)
    before = own.inner_loss(own.theta(), task.support)
    with torch.no_grad():
        own.module[0].weight.zero_()  # pyright: ignore
    assert torch.equal(own.inner_loss(own.theta(), task.support), before)


def test_frozen_parameters_follow_the_dtype_of_the_others() -> None:
    own = frozen_first()
    [task] = own.tasks(1, 0)
    narrow = {name: each.float() for name, each in own.theta().items()}
    support = tuple(each.float() for each in task.support)
    assert own.inner_loss(narrow, support).dtype == torch.float32
    assert conformance.check_problem(own) == []


def test_buffers_follow_the_dtype_of_the_parameters() -> None:
    own = problem(nn.BatchNorm1d(4).eval())
    [task] = own.tasks(1, 0)
    narrow = {name: each.float() for name, each in own.theta().items()}
    assert own.inner_loss(narrow, tuple(each.float() for each in task.support)).dtype == torch.float32


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


def test_a_module_that_is_all_frozen() -> None:
    with pytest.raises(BadInput, match=r"^module Linear has no trainable parameter: all are frozen$"):
        ModuleProblem(nn.Linear(3, 1).requires_grad_(False), lambda out, _: out.sum(), draw)
