# pyright: reportArgumentType=false, reportIncompatibleMethodOverride=false
# Submodules and layers of users are found by name, as torch's types do not tell.
"""Modules that are no function of their parameters, or not one that can be adapted: one line, with layer and remedy."""

import random
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributed._composable.checkpoint_activation import checkpoint as composable_checkpoint
from torch.nn import functional as F
from torch.nn.utils import parametrizations, spectral_norm
from torch.utils.checkpoint import checkpoint

import harness
from harness import conformance
from harness.bilevel import Task
from harness.errors import BadInput
from harness.parts import first_draw
from harness.problems.module import ModuleProblem


def draw(n: int, seed: int, dtype: torch.dtype = torch.float64) -> list[Task]:
    generator = torch.Generator().manual_seed(seed)

    def data() -> tuple[Tensor, Tensor]:
        inputs = torch.randn(8, 3, generator=generator, dtype=torch.float64).to(dtype)
        return inputs, inputs.sum(1, keepdim=True).sin()

    return [Task(data(), data()) for _ in range(n)]


def problem(module: nn.Module, loss: Callable[[Any, Any], Any] = F.mse_loss) -> ModuleProblem:
    return ModuleProblem(module, loss, draw)


def fault(module: nn.Module, loss: Callable[[Any, Any], Any] = F.mse_loss) -> str:
    """What is said of a module when it is first used; nothing said is an error."""

    def use() -> None:
        own = problem(module, loss)
        harness.estimator("maml", steps=2, lam=1.0).meta_gradient(own, own.tasks(1, 0)[0], own.theta())

    with pytest.raises(BadInput) as caught:
        use()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def between(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), *layers, nn.Tanh(), nn.Linear(4, 1)).double()


class Applied(nn.Module):
    """A layer that is a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class OwnNoise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator()

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


class Remembers(nn.Module):
    """Scales by how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.own = SimpleNamespace(calls=0)

    def forward(self, x: Tensor) -> Tensor:
        self.own.calls += 1
        return x * self.own.calls


class Caches(nn.Module):
    """Computes with the weight that it met first."""

    def __init__(self, *, detached: bool) -> None:
        super().__init__()
        self.detached, self.inner, self.own = detached, nn.Linear(4, 4), SimpleNamespace(weight=None)

    def forward(self, x: Tensor) -> Tensor:
        if self.own.weight is None:
            self.own.weight = self.inner.weight.detach() if self.detached else self.inner.weight * 2
        return self.inner(x) + F.linear(x, self.own.weight)


class Standardizes(nn.Module):
    """By the deviation of what it met first."""

    def __init__(self) -> None:
        super().__init__()
        self.own = SimpleNamespace(deviation=None)

    def forward(self, x: Tensor) -> Tensor:
        if self.own.deviation is None:
            self.own.deviation = x.std()
        return x / self.own.deviation


def test_what_is_remembered_of_other_data_is_found_where_it_is() -> None:
    module = nn.Sequential(Standardizes(), between())
    where = "module 0: Standardizes returns another value on the query once the support has been seen"
    assert fault(module).startswith(where)


class MovingMean(nn.Module):
    def __init__(self, write: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.write = write

    def forward(self, x: Tensor) -> Tensor:
        self.write(self.get_buffer("mean"), x.detach().mean(0))
        return x


def skipped_at_random(x: Tensor) -> Tensor:
    return x if random.random() < 2 else -x


def scaled_at_random(x: Tensor) -> Tensor:
    return x * np.random.rand()


def drawn_for_nothing(x: Tensor) -> Tensor:
    torch.rand(1)
    return x


EVAL = "call eval() on it, or take that out"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.RReLU(), "module 1: RReLU draws random numbers; set lower=upper or call eval() on it"),
        (Applied(F.dropout), f"module 1: Applied draws random numbers; {EVAL}"),
        (Applied(lambda x: x + torch.randn_like(x)), f"module 1: Applied draws random numbers; {EVAL}"),
        (Applied(drawn_for_nothing), f"module 1: Applied draws random numbers; {EVAL}"),
        (Applied(skipped_at_random), f"module 1: Applied draws random numbers; {EVAL}"),
        (Applied(scaled_at_random), f"module 1: Applied draws random numbers; {EVAL}"),
        (nn.Sequential(nn.Tanh(), OwnNoise()), "module 1.1: OwnNoise returns other values at a second call"),
        (Remembers(), "module 1: Remembers returns other values at a second call"),
        (Caches(detached=False), "module 1: Caches does not compute with the parameters it is given; something in it"),
        (Caches(detached=True), "module 1: Caches does not compute with the parameters it is given; something in it"),
        (MovingMean(lambda mean, x: mean.lerp_(x, 0.1)), f"module 1: MovingMean writes to its buffer 'mean'; {EVAL}"),
        (MovingMean(lambda mean, _: mean.add_(0)), f"module 1: MovingMean writes to its buffer 'mean'; {EVAL}"),
        (MovingMean(lambda mean, _: mean.data.add_(1)), f"module 1: MovingMean writes to its buffer 'mean'; {EVAL}"),
        (spectral_norm(nn.Linear(4, 4)), f"module 1: Linear writes to its buffer 'weight_u'; {EVAL}"),
        (
            parametrizations.spectral_norm(nn.Linear(4, 4)),
            f"module 1.parametrizations.weight.0: _SpectralNorm writes to its buffer '_u'; {EVAL}",
        ),
    ],
)
def test_a_layer_that_is_no_function_is_named(layer: nn.Module, message: str) -> None:
    assert fault(between(layer)).startswith(message)


@pytest.mark.parametrize(
    "layer", [nn.RReLU(), spectral_norm(nn.Linear(4, 4)), parametrizations.spectral_norm(nn.Linear(4, 4))]
)
def test_in_eval_mode_it_is_one(layer: nn.Module) -> None:
    own = problem(between(layer.eval()))
    grads = [
        harness.estimator(name, steps=3, lr=0.1, lam=1.0).meta_gradient(own, own.tasks(1, 0)[0], own.theta()).grad
        for name in ("maml", "maml-replay")
    ]
    for name, each in grads[0].items():
        torch.testing.assert_close(each, grads[1][name], rtol=1e-10, atol=1e-12)


def test_a_loss_that_is_no_function() -> None:
    assert fault(between(), lambda out, y: F.mse_loss(F.dropout(out), y)) == (
        f"inner_loss draws random numbers; {EVAL}"
    )


class Embedded(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.weight, self.options, self.end = nn.Parameter(torch.randn(5, 3) * 5), options, nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(F.embedding((x > 0).long(), self.weight, **self.options).sum(1))


class Embedding(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.inputs, self.end = nn.Embedding(5, 3, **options), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.inputs((x > 0).long()).sum(1))


class Reentrant(nn.Module):
    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self.first, self.one, self.two, self.end = first, nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(self.one, x, use_reentrant=True) if self.first else self.one(x)
        return self.end(torch.tanh(hidden if self.first else checkpoint(self.two, hidden, use_reentrant=True)))


class ListedAlone(nn.Module):
    """The layer that is only in a list is in no optimiser either."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.rest = nn.Linear(3, 4).double(), [nn.Linear(4, 1).double()]

    def forward(self, x: Tensor) -> Tensor:
        return self.rest[0](torch.tanh(self.start(x)))


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 1, dtype=torch.complex128))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.weight.dtype) @ self.weight).abs()


def with_gradient_hook() -> nn.Module:
    module = between()
    module[0].weight.register_hook(lambda gradient: gradient * 0)  # pyright: ignore
    return module


def with_backward_hook(register: str) -> nn.Module:
    module = between()
    getattr(module[1], register)(lambda *_: None)  # pyright: ignore
    return module


class Slotted(nn.Tanh):
    __slots__ = ("factor",)


def with_closure() -> nn.Module:
    module = between()
    module[0].register_forward_hook(lambda layer, x, out: out + module[0].bias)  # pyright: ignore
    return module


def half_of_it() -> nn.Module:
    module = between()
    module[2].float()  # pyright: ignore
    return module


def compiled_in_place() -> nn.Module:
    module = between()
    module.compile()
    return module


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Embedding(sparse=True), "module inputs: Embedding has sparse gradients; set sparse=False"),
        (lambda: Embedded(sparse=True), "module Embedded: the gradient of 'weight' is sparse; set sparse=False"),
        (
            lambda: Embedding(max_norm=1.0),
            "module inputs: Embedding writes to its weight in the forward pass; set max_no",
        ),
        (
            lambda: Embedding(scale_grad_by_freq=True),
            "module inputs: Embedding scales its gradient, which is then that of no function; set scale_grad_by_freq=F",
        ),
        (lambda: Embedded(max_norm=0.1), f"module Embedded: Embedded writes to its parameter 'weight'; {EVAL}"),
        (
            lambda: nn.DataParallel(between()),
            "module DataParallel: DataParallel spreads a batch over devices; give the",
        ),
        (lambda: Reentrant(first=False), "the gradient of inner_loss raised RuntimeError: "),
        (lambda: Reentrant(first=True), "inner_loss raised UserWarning: None of the inputs have requires_grad=True."),
        (lambda: nn.Sequential(nn.LazyLinear(4)), "module Sequential: parameter '0.weight' has no shape yet; run the"),
        (lambda: torch.jit.trace(between(), torch.randn(2, 3).double()), "module TopLevelTracedModule: is compiled by"),
        (lambda: torch.compile(between()), "module OptimizedModule: is compiled by torch.compile, which has no second"),
        (
            compiled_in_place,
            "module Sequential: is compiled by torch.compile, which has no second derivative; give the",
        ),
        (
            Complex,
            "module Complex: parameter 'weight' is complex128; hold torch.view_as_real of it, and take view_as_com",
        ),
        (
            half_of_it,
            "module Sequential: trainable parameters differ in dtype: '0.weight' is float64, '2.weight' float32",
        ),
        (
            with_gradient_hook,
            "module Sequential: parameter '0.weight' has a gradient hook, which no loss knows of; remove",
        ),
        *(
            (
                partial(with_backward_hook, register),
                "module 1: Tanh has a backward hook, which no loss knows of; remove",
            )
            for register in ("register_backward_hook", "register_full_backward_hook", "register_full_backward_pre_hook")
        ),
        (lambda: between(Slotted()), "module 1: Slotted keeps attributes in __slots__, where replicas of it have none"),
        (
            ListedAlone,
            "module ListedAlone: attribute 'rest' holds a tensor of shape (1, 4) that requires grad and is none",
        ),
        (
            with_closure,
            "module 0: a hook or closure uses '0.bias' of the module as it was given, whatever the parameters",
        ),
        (
            lambda: nn.Sequential(nn.ReLU(inplace=True), between()),
            "inner_loss writes to the data it is given; set inplac",
        ),
        (
            lambda: nn.Linear(3, 1).to(torch.float8_e4m3fn),
            "module Linear: parameter 'weight' is float8_e4m3fn, which is",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_module_that_cannot_be_adapted_is_told_why(make: Callable[[], nn.Module], message: str) -> None:
    torch.manual_seed(0)
    module = make()
    if "half" not in getattr(make, "__name__", "") and "float8" not in message and "Traced" not in message:
        module.double()
    said = fault(module)
    assert said.startswith(message)
    if isinstance(module, Reentrant):
        assert "use_reentrant=False" in said


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning")
def test_weight_norm_has_no_right_second_derivative(old: bool) -> None:
    """Its formula takes the norm for a constant (``torch._weight_norm``): off by half in this setting."""
    norm = nn.utils.weight_norm if old else parametrizations.weight_norm
    for dtype in (torch.float64, torch.float32):
        torch.manual_seed(0)
        module = nn.Sequential(norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 1)).to(dtype)
        own = ModuleProblem(module, F.mse_loss, lambda n, seed, dtype=dtype: draw(n, seed, dtype))
        with pytest.raises(BadInput, match=r"^module 0.*: the second derivatives of inner_loss .* are wrong"):
            own.check(own.tasks(1, 0)[0], own.theta())


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda out, y: F.mse_loss(out, y).item(), "inner_loss returned a float, not a scalar tensor"),
        (lambda out, y: (F.mse_loss(out, y), out), "inner_loss returned a tuple, not a scalar tensor"),
        (lambda out, y: None, "inner_loss returned None, not a scalar tensor"),
        (lambda out, y: out - y, "inner_loss returned shape (8, 1), not a scalar"),
        (lambda out, y: F.mse_loss(out, y).detach(), "inner_loss does not depend on the parameters: it is detached"),
        (lambda out, y: y.square().mean(), "inner_loss does not depend on the parameters: it is detached"),
        (lambda out, y: F.mse_loss(out, y).long(), "inner_loss returned int64, not a floating point number"),
        (lambda out, y: F.mse_loss(out, y) * 1j, "inner_loss returned complex128, not a floating point number"),
        (lambda out, y: F.mse_loss(out, y).to_sparse(), "inner_loss returned a tensor that is sparse_coo, not a dense"),
        (lambda out, y: F.mse_loss(out, y).float(), "inner_loss returned float32 for parameters of float64, so digits"),
        (lambda out, y: {}["key"], "inner_loss raised KeyError: 'key' (test_purity.py, line "),
    ],
)
def test_what_a_loss_returns(loss: Callable[[Any, Any], Any], message: str) -> None:
    assert fault(between(), loss).startswith(message)


class Temperature(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, out: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(out * self.scale, y)


def with_checkpointing_that_cannot_be_repeated() -> nn.Module:
    module = between()
    composable_checkpoint(module[0])  # pyright: ignore
    return module


def with_compiled_function() -> nn.Module:
    return between(Applied(torch.compile(torch.tanh, backend="aot_eager")))


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (
            with_checkpointing_that_cannot_be_repeated,
            "checkpoint by torch.utils.checkpoint.checkpoint with use_reentrant=False and no context_fn",
        ),
        (
            with_compiled_function,
            "what torch.compile makes has no second derivative; give the function as it was before",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # Dynamo looks at it
def test_what_pytorch_cannot_differentiate_is_said_with_the_remedy(make: Callable[[], nn.Module], remedy: str) -> None:
    assert fault(make()).endswith(f"; {remedy}")


def test_checkpointing_that_cannot_be_repeated_does_where_it_need_not_be() -> None:
    grads: list[Tensor] = []
    for make in (with_checkpointing_that_cannot_be_repeated, between):
        torch.manual_seed(0)
        own = problem(make())
        estimator = harness.estimator("fomaml", steps=3, lr=0.1)
        grads.append(estimator.meta_gradient(own, own.tasks(1, 0)[0], own.theta()).grad["0.weight"])
    assert torch.equal(*grads)


def test_a_loss_with_parameters_of_its_own() -> None:
    assert fault(between(), Temperature()) == (
        "loss Temperature has a trainable parameter 'scale'; move it into the module, or freeze it"
    )
    assert fault(between(), nn.Sequential(nn.Dropout(0.5))) == (
        "loss 0: Dropout draws random numbers; set p=0 or call eval() on it"
    )


def test_data_that_is_no_pair_or_was_made_in_inference_mode() -> None:
    own = problem(between())
    x = torch.randn(8, 3, dtype=torch.float64)
    with pytest.raises(BadInput, match=r"^a task's support or query is a Tensor, not a pair \(inputs, targets\)$"):
        own.check(Task(x, x), own.theta())
    with torch.inference_mode():
        made = Task((x + 1, x.sum(1, keepdim=True)), (x, x))
    with pytest.raises(BadInput, match=r"^a task's data was made in torch.inference_mode\(\)"):
        own.check(made, own.theta())


class CountsUses(nn.Module):
    """Counts where no copy of it keeps the count."""

    uses = 0

    def forward(self, x: Tensor) -> Tensor:
        CountsUses.uses += 1
        return x


def test_the_check_is_made_once_and_leaves_the_random_numbers_alone() -> None:
    own = problem(between(CountsUses()))
    [task] = own.tasks(1, 0)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]
    own.check(task, own.theta())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])
    uses = CountsUses.uses
    own.check(task, own.theta())
    assert CountsUses.uses == uses
    fresh = problem(between(CountsUses()))
    fresh.trust()
    fresh.check(task, fresh.theta())
    assert CountsUses.uses == uses


def test_random_numbers_are_left_alone_by_a_check_that_fails() -> None:
    own = problem(between(Applied(F.dropout)))
    before = torch.get_rng_state()
    with pytest.raises(BadInput):
        own.check(own.tasks(1, 0)[0], own.theta())
    assert torch.equal(torch.get_rng_state(), before)


def test_tensors_without_values_are_not_looked_at() -> None:
    own = problem(between(Applied(F.dropout)))
    meta = {name: each.to("meta") for name, each in own.theta().items()}
    assert own.check(own.tasks(1, 0)[0], meta) is None


def test_whoever_uses_a_problem_is_told_first() -> None:
    own = problem(between(Applied(F.dropout)))
    said = r"module 1: Applied draws random numbers; call eval\(\) on it, or take that out$"
    with pytest.raises(BadInput, match=f"^problem 'mine': {said}"):
        first_draw(own, 0, "mine")
    with pytest.raises(BadInput, match=f"^problem 'ModuleProblem': {said}"):
        harness.validate("maml", own, vs="backprop", steps=2, lr=0.1)
    with pytest.raises(AssertionError, match=f"^{said}"):
        conformance.check_problem(own)
    for batching in ("loop", "vmap"):
        estimator = harness.estimator("fomaml", steps=2, batching=batching)
        with pytest.raises(BadInput, match=f"^{said}"):
            estimator.meta_gradients(own, own.tasks(2, 0), own.theta())


class SquareOnce(torch.autograd.Function):
    """Its backward pass leaves no graph where nothing nonlinear follows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * grads[0]


def test_curvature_that_cannot_be_had_is_not_taken_for_none() -> None:
    module = nn.Linear(3, 1, bias=False).double()
    said = fault(module, lambda out, y: SquareOnce.apply(out).mean())
    assert said.startswith(
        "module Linear: the gradient with respect to 'weight' changes with the parameters, yet has no"
    )
    said = fault(module, lambda out, y: SquareOnce.apply(out).square().mean())
    assert said.startswith(
        "the gradient of inner_loss has no derivative with respect to parameters; an operation can be"
    )


def test_a_linear_loss_has_no_curvature_and_may_have_none() -> None:
    own = problem(nn.Linear(3, 1).double(), lambda out, y: out.mean())
    assert own.check(own.tasks(1, 0)[0], own.theta()) is None
