# pyright: reportOperatorIssue=false
# Submodules and layers of users are found by name, as torch's types do not tell.
"""Modules whose parameters are found in unusual ways, and the gradient of each against one written out by hand."""

import copy
import pickle
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm
from torch.utils.checkpoint import checkpoint

import harness
from harness.bilevel import Problem, Task
from harness.problems.module import ModuleProblem
from harness.problems.replicas import Replicas
from harness.pytree import Params

ESTIMATORS = ["maml", "maml-replay", "maml-checkpoint", "maml-truncated", "imaml-cg", "fomaml", "darts-fd"]
Function = Callable[[Params, Tensor], Tensor]


def draw(n: int, seed: int) -> list[Task]:
    generator = torch.Generator().manual_seed(seed)

    def data() -> tuple[Tensor, Tensor]:
        inputs = torch.randn(8, 3, generator=generator, dtype=torch.float64)
        return inputs, inputs.sum(1, keepdim=True).sin()

    return [Task(data(), data()) for _ in range(n)]


class ByHand:
    """The same problem as a module's, its function written out."""

    def __init__(self, module: nn.Module, function: Function) -> None:
        self.start = {name: each.detach().clone() for name, each in module.named_parameters()}
        self.function = function

    def theta(self) -> Params:
        return self.start

    def inner_loss(self, params: Params, support: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = support
        return F.mse_loss(self.function(params, inputs), targets)

    def outer_loss(self, params: Params, query: tuple[Tensor, Tensor]) -> Tensor:
        return self.inner_loss(params, query)

    def tasks(self, n: int, seed: int) -> list[Task]:
        return draw(n, seed)


class TwoLayers(nn.Module):
    """Tanh between two layers, by whatever way a subclass takes to them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))


def two_layers(p: Params, x: Tensor) -> Tensor:
    hidden = torch.tanh(F.linear(x, p["first.weight"], p["first.bias"]))
    return F.linear(hidden, p["last.weight"], p["last.bias"])


class InAList(TwoLayers):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [self.first, self.last]
        self.weights = {"first": (self.first.weight,)}

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[1](torch.tanh(F.linear(x, self.weights["first"][0], self.layers[0].bias)))


class ByABoundMethod(TwoLayers):
    def __init__(self) -> None:
        super().__init__()
        self.end = self.finish

    def finish(self, x: Tensor) -> Tensor:
        return self.last(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(torch.tanh(self.first(x)))


class Checkpointed(TwoLayers):
    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(super().forward, x, use_reentrant=False)


class CheckpointedTwice(TwoLayers):
    def forward(self, x: Tensor) -> Tensor:
        def inner(x: Tensor) -> Tensor:
            return torch.tanh(self.first(x))

        def outer(x: Tensor) -> Tensor:
            return self.last(checkpoint(inner, x, use_reentrant=False))

        return checkpoint(outer, x, use_reentrant=False)


class CountsItsCalls(TwoLayers):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen = x
        return super().forward(x) * self.calls


class KeepsItsOutputs(TwoLayers):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.kept.append(super().forward(x))
        return self.kept[-1]


class CountsInContainers(TwoLayers):
    """Whatever it puts there, it finds nothing at the next call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.first_seen: dict[str, list[Tensor]] = {"inputs": []}
        self.names: set[str] = set()
        self.nested = [self.calls]

    def forward(self, x: Tensor) -> Tensor:
        factor = 1 + len(self.calls) + len(self.first_seen["inputs"]) + len(self.names) + len(self.nested[0])
        self.calls.append(1)
        assert self.nested[0] is self.calls
        self.first_seen["inputs"].append(x)
        self.names.add("called")
        return super().forward(x) * factor


def hooked() -> nn.Module:
    module = TwoLayers()
    module.last.register_forward_hook(lambda layer, inputs, output: output + layer.bias)
    return module


def with_old_weight_norm() -> nn.Module:
    module = TwoLayers()
    with pytest.warns(FutureWarning):
        module.first = weight_norm(nn.Linear(3, 4))
    return module


def with_new_weight_norm() -> nn.Module:
    module = TwoLayers()
    parametrizations.weight_norm(module.first)
    return module


class Exponential(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.exp()


def parametrised() -> nn.Module:
    module = TwoLayers()
    parametrize.register_parametrization(module.first, "weight", Exponential())
    return module


def exponential(p: Params, x: Tensor) -> Tensor:
    return two_layers({**p, "first.weight": p["first.parametrizations.weight.original"].exp()}, x)


def pruned() -> nn.Module:
    module = TwoLayers()
    prune.l1_unstructured(module.first, "weight", amount=0.5)
    return module


class Lists(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(4, 3), torch.randn(1, 4)])
        self.biases = nn.ParameterDict({"first": torch.randn(4), "last": torch.randn(1)})
        self.register_buffer("nothing", None)
        self.register_buffer("one", torch.ones(1), persistent=False)
        self.register_parameter("absent", None)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(F.linear(x, self.weights[0], self.biases["first"]))
        return F.linear(hidden, self.weights[1], self.biases["last"]) * self.one


def lists(p: Params, x: Tensor) -> Tensor:
    hidden = torch.tanh(F.linear(x, p["weights.0"], p["biases.first"]))
    return F.linear(hidden, p["weights.1"], p["biases.last"])


def one_layer_under_two_names() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(3, 1))


def one_weight_under_two_names() -> nn.Module:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight, second.bias = first.weight, first.bias
    return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Linear(3, 1))


def tied(p: Params, x: Tensor) -> Tensor:
    for _ in range(2):
        x = torch.tanh(F.linear(x, p["0.weight"], p["0.bias"]))
    return F.linear(x, p["4.weight"], p["4.bias"])


def expanded() -> nn.Module:
    module = TwoLayers()
    module.first.weight = nn.Parameter(torch.randn(1, 3).expand(4, 3))
    return module


MODULES: dict[str, tuple[Callable[[], nn.Module], Function]] = {
    "plain": (TwoLayers, two_layers),
    "one layer under two names": (one_layer_under_two_names, tied),
    "one weight under two names": (one_weight_under_two_names, tied),
    "layers and weights in plain lists": (InAList, two_layers),
    "a bound method": (ByABoundMethod, two_layers),
    "a hook": (hooked, lambda p, x: two_layers(p, x) + p["last.bias"]),
    "gradient checkpointing": (Checkpointed, two_layers),
    "gradient checkpointing within the same": (CheckpointedTwice, two_layers),
    "attributes that are assigned": (CountsItsCalls, two_layers),
    "outputs that are kept in a list": (KeepsItsOutputs, two_layers),
    "what is put into lists, dicts and sets": (CountsInContainers, two_layers),
    "a parametrization": (parametrised, exponential),
    "lists of parameters": (Lists, lists),
    "a parameter that is expanded": (expanded, two_layers),
    "an FX graph": (lambda: torch.fx.symbolic_trace(TwoLayers()), two_layers),
}


def made(name: str) -> tuple[nn.Module, Function]:
    torch.manual_seed(0)
    make, function = MODULES[name]
    return make().double(), function


def gradient(estimator: str, problem: Problem) -> Params:
    return (
        harness.estimator(estimator, steps=6, lr=0.3, lam=1.0)
        .meta_gradients(problem, problem.tasks(2, 0), problem.theta())
        .grad
    )


@pytest.mark.parametrize("name", MODULES)
def test_gradients_are_those_of_the_function_written_out(name: str) -> None:
    module, function = made(name)
    own, by_hand = ModuleProblem(module, F.mse_loss, draw), ByHand(module, function)
    for estimator in ESTIMATORS:
        found, expected = gradient(estimator, own), gradient(estimator, by_hand)
        assert found.keys() == expected.keys()
        for each in expected:
            torch.testing.assert_close(found[each], expected[each], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", MODULES)
def test_the_users_module_is_never_written_to(name: str) -> None:
    module, _ = made(name)
    before = [(id(each), each._version, each.detach().clone()) for each in (*module.parameters(), *module.buffers())]
    attributes = {each: set(vars(layer)) for each, layer in module.named_modules()}
    own = ModuleProblem(module, F.mse_loss, draw)
    gradient("maml", own)
    gradient("imaml-cg", own)
    for (identity, version, value), each in zip(before, (*module.parameters(), *module.buffers()), strict=True):
        assert (id(each), each._version) == (identity, version)
        assert torch.equal(each, value)
        assert each.grad is None
    assert {each: set(vars(layer)) for each, layer in module.named_modules()} == attributes


@pytest.mark.parametrize("name", ["plain", "one layer under two names", "layers and weights in plain lists"])
def test_replicas_hold_what_they_are_given_side_by_side(name: str) -> None:
    module, function = made(name)
    held = Replicas(module)
    inputs = torch.randn(5, 3, dtype=torch.float64)
    like = next(iter(held.theta.values()))
    several = [{each: value * (1 + i) for each, value in held.theta.items()} for i in range(3)]
    replicas = [held.holding(each, like) for each in several]
    for given, replica in zip(several, replicas, strict=True):
        assert torch.equal(replica(inputs), function(given, inputs))
        assert all(own is given[each] for each, own in replica.named_parameters())
    assert torch.equal(held.module(inputs), module(inputs))


def test_pruned_weights_stay_pruned() -> None:
    torch.manual_seed(0)
    module = pruned().double()
    mask = module.get_buffer("first.weight_mask")
    grad = gradient("maml", ModuleProblem(module, F.mse_loss, draw))["first.weight_orig"]
    assert bool((mask == 0).any())
    assert not bool(grad[mask == 0].any())


def test_a_complex_constant_follows_the_precision() -> None:
    class Rotated(TwoLayers):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("turn", torch.ones(4, dtype=torch.complex64))

        def forward(self, x: Tensor) -> Tensor:
            return self.last((torch.tanh(self.first(x)) * self.turn).real)

    held = Replicas(Rotated())
    assert held.constants(torch.ones(1, dtype=torch.float64))["turn"].dtype == torch.complex128
    assert held.constants(torch.ones(1))["turn"].dtype == torch.complex64


def test_a_module_made_in_inference_mode() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        module = TwoLayers().double()
    with torch.inference_mode():
        own = ModuleProblem(module, F.mse_loss, draw)
    by_hand = ByHand(module, two_layers)
    for name, each in gradient("maml", own).items():
        torch.testing.assert_close(each, gradient("maml", by_hand)[name], rtol=1e-9, atol=1e-11)


def test_a_module_that_cannot_be_copied() -> None:
    module = TwoLayers()
    module.file = (each for each in ())  # pyright: ignore  (a generator)
    with pytest.raises((TypeError, pickle.PicklingError)):
        copy.deepcopy(module)
    with pytest.raises(harness.BadInput, match=r"^module TwoLayers cannot be copied: copy.deepcopy raised TypeError: "):
        ModuleProblem(module, F.mse_loss, draw)


class KeepsItsOutputElsewhere(TwoLayers):
    def __init__(self) -> None:
        super().__init__()
        self.kept = SimpleNamespace(output=None)

    def forward(self, x: Tensor) -> Tensor:
        self.kept.output = super().forward(x)
        return self.kept.output


def test_a_copy_that_a_forward_pass_has_made_impossible() -> None:
    held = Replicas(nn.Sequential(KeepsItsOutputElsewhere(), nn.Tanh()).double())
    theta = {name: each.requires_grad_() for name, each in held.theta.items()}
    held.holding(theta, theta["0.last.bias"])(torch.randn(5, 3, dtype=torch.float64))
    with pytest.raises(harness.BadInput, match=r"^module 0: attribute 'kept' keeps what a forward pass made; assign "):
        held.copy_with(theta, theta["0.last.bias"])


@pytest.mark.parametrize(
    ("make", "g", "v"),
    [
        (with_old_weight_norm, "weight_g", "weight_v"),
        (with_new_weight_norm, "parametrizations.weight.original0", "parametrizations.weight.original1"),
    ],
)
def test_weights_that_are_computed_anew_at_each_call(make: Callable[[], nn.Module], g: str, v: str) -> None:
    """The old weight norm keeps what it has computed in an attribute, which ``deepcopy`` refuses to copy."""
    module = make().double()
    held, inputs = Replicas(module), torch.randn(5, 3, dtype=torch.float64)
    given = {name: each * 2 for name, each in held.theta.items()}
    weight = given[f"first.{v}"] * (given[f"first.{g}"] / given[f"first.{v}"].norm(dim=1, keepdim=True))
    expected = two_layers({**given, "first.weight": weight}, inputs)
    torch.testing.assert_close(held.holding(given, expected)(inputs), expected)
    torch.testing.assert_close(held.copy_with(given, expected)(inputs), expected)
