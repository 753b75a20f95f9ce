"""Losses that fail, or return what is none, of problems that are a user's own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import harness
from harness.bilevel import Task
from harness.errors import BadInput
from harness.losses import faults_of_losses, value_of
from harness.problems.linear import LinearRegression
from harness.problems.module import ModuleProblem
from harness.pytree import Params
from harness.references import in_float64, reference_gradient

X = torch.ones(4, 3, dtype=torch.float64)
SECOND_ORDER = ["maml", "maml-replay", "maml-checkpoint", "maml-truncated", "imaml-cg"]


def square(params: Params) -> Tensor:
    return params["w"].square().sum()


@dataclass(frozen=True)
class Own:
    """A problem whose losses are ``inner`` and ``outer`` of the parameters."""

    inner: Callable[[Params], Any] = square
    outer: Callable[[Params], Any] = square
    dtype: torch.dtype = torch.float64

    def theta(self) -> Params:
        return {"w": torch.ones(3, dtype=self.dtype)}

    def inner_loss(self, params: Params, support: Any) -> Any:
        return self.inner(params)

    def outer_loss(self, params: Params, query: Any) -> Any:
        return self.outer(params)

    def tasks(self, n: int, seed: int) -> list[Task]:
        return [Task(torch.ones(1), torch.ones(1))] * n


def gradient(own: Any, name: str = "maml", **parameters: Any) -> Params:
    estimator = harness.estimator(name, **{"steps": 3, "lr": 0.1, "lam": 1.0, **parameters})
    return estimator.meta_gradients(own, own.tasks(2, 0), own.theta()).grad


def aligned(params: Params) -> Tensor:
    """By an operation of PyTorch's that has a first derivative only."""
    return F.ctc_loss(params["w"].expand(4, 1, 3).log_softmax(-1), torch.ones(1, 2).long(), (4,), (2,))  # pyright: ignore[reportArgumentType]


FAULTS: list[tuple[Callable[[Params], Any], str]] = [
    (lambda p: 1.5, "returned a float, not a scalar tensor"),
    (lambda p: None, "returned None, not a scalar tensor"),
    (lambda p: p["w"], "returned shape (3,), not a scalar"),
    (lambda p: square(p).int(), "returned int32, not a floating point number"),
    (lambda p: square(p).float(), "returned float32 for parameters of float64, so digits are lost"),
    (lambda p: square(p).detach(), "does not depend on the parameters: it is detached"),
    (lambda p: square(p).to("meta"), "returned a tensor on meta, and the parameters are on cpu"),
    (lambda p: p["v"].sum(), "raised KeyError: 'v' (test_losses.py, line "),
]


@pytest.mark.parametrize("batching", ["loop", "vmap"])
@pytest.mark.parametrize(("loss", "message"), FAULTS)
def test_what_is_no_loss_is_told_by_its_name(loss: Callable[[Params], Any], message: str, batching: str) -> None:
    for name in ("maml", "maml-replay", "fomaml", "imaml-cg"):
        with pytest.raises(BadInput) as caught:
            gradient(Own(inner=loss), name, batching=batching)
        assert str(caught.value).startswith(f"inner_loss {message}")
        assert isinstance(caught.value.__cause__, KeyError) == ("KeyError" in message)
        assert "\n" not in str(caught.value)
        with pytest.raises(BadInput) as caught:
            gradient(Own(outer=loss), name, batching=batching)
        assert str(caught.value).startswith(f"outer_loss {message}")


@pytest.mark.parametrize("name", ["maml", "fomaml", "imaml-cg"])
def test_a_loss_of_nothing_it_is_given(name: str) -> None:
    own = Own(inner=lambda params: nn.Parameter(torch.ones((), dtype=torch.float64)))
    with pytest.raises(BadInput, match=r"; a loss has to be computed from the parameters it is given$"):
        gradient(own, name)


def test_an_error_within_a_module_of_pytorchs_is_not_placed_there() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 1))
    own = ModuleProblem(module, F.mse_loss, lambda n, seed: [Task((X.float(), X.float()), (X.float(), X.float()))] * n)
    with pytest.raises(
        BadInput, match=r"^inner_loss raised RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    ) as caught:
        gradient(own)
    assert "container.py" not in str(caught.value)


@pytest.mark.parametrize("batching", ["loop", "vmap"])
def test_what_is_no_task(batching: str) -> None:
    estimator = harness.estimator("maml", steps=1, lr=0.1, batching=batching)
    own = Own()
    expected = estimator.meta_gradients(own, own.tasks(2, 0), own.theta()).grad
    assert torch.equal(estimator.meta_gradients(own, iter(own.tasks(2, 0)), own.theta()).grad["w"], expected["w"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match=r"^a task is a tuple, not a harness.Task\(support, query\)$"):
        estimator.meta_gradients(own, [(X, X), (X, X)], own.theta())  # pyright: ignore[reportArgumentType]


def test_a_loss_wider_than_the_parameters_is_one() -> None:
    """Models in half precision compute it so."""
    assert gradient(Own(inner=lambda p: square(p).float(), dtype=torch.bfloat16))["w"].dtype == torch.bfloat16


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_what_cannot_be_differentiated_twice(name: str) -> None:
    own = Own(inner=aligned)
    with pytest.raises(
        BadInput,
        match=r"raised RuntimeError: derivative for .* is not implemented; 'fomaml', 'reptile' and 'darts-fd' take",
    ):
        gradient(own, name)
    for first_order in ("fomaml", "reptile", "darts-fd"):
        assert gradient(own, first_order)["w"].isfinite().all()


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory: x")]
)
def test_that_memory_ran_out_stays_what_it_is(error: Exception) -> None:
    def loss(params: Params) -> Tensor:
        raise error

    for batching in ("loop", "vmap"):
        with pytest.raises(type(error)) as caught:
            gradient(Own(inner=loss), batching=batching)
        assert caught.value is error


def test_a_fault_of_this_package_is_not_the_users() -> None:
    own = LinearRegression()
    with pytest.raises(KeyError):
        value_of(own, "inner_loss", {"not w": X}, own.tasks(1, 0)[0].support)
    with pytest.raises(KeyError), faults_of_losses(None, "inner_loss", torch.float64):
        {}["a"]


def test_nothing_is_differentiated_in_inference_mode() -> None:
    with (
        torch.inference_mode(),
        pytest.raises(BadInput, match=r"^nothing can be differentiated within torch.inference"),
    ):
        gradient(Own())


class Recurrent(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.end = layer, nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.layer(x)[0])


def sequences(n: int, seed: int) -> list[Task]:
    generator = torch.Generator().manual_seed(seed)
    data = torch.randn(n, 2, 5, 6, 3, generator=generator)
    return [Task((a, a.sum(-1, keepdim=True)), (b, b.sum(-1, keepdim=True))) for a, b in data]


@pytest.mark.parametrize("layer", [nn.LSTM(3, 4), nn.GRU(3, 4), nn.RNN(3, 4)], ids=lambda layer: type(layer).__name__)
def test_what_vmap_cannot_batch_is_taken_one_by_one(layer: nn.Module) -> None:
    own = ModuleProblem(Recurrent(layer), F.mse_loss, sequences)
    assert gradient(own)["end.weight"].isfinite().all()
    for name in ("maml", "fomaml", "imaml-cg"):
        with pytest.raises(BadInput, match=r"^inner_loss raised .*batching = 'loop' takes the tasks one by one$"):
            gradient(own, name, batching="vmap")


def labelled(n: int, seed: int) -> list[Task]:
    generator = torch.Generator().manual_seed(seed)

    def data() -> tuple[Tensor, Tensor]:
        return torch.randn(6, 3, generator=generator), torch.randint(3, (6,), generator=generator)

    return [Task(data(), data()) for _ in range(n)]


WEIGHTS = torch.tensor([1.0, 2.0, 4.0])


def narrow(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs, labels, weight=WEIGHTS)


def cast(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs, labels, weight=WEIGHTS.to(outputs))


def test_a_loss_that_is_a_module_follows_the_precision() -> None:
    module = nn.Linear(3, 3)
    own, by_hand = (ModuleProblem(module, loss, labelled) for loss in (nn.CrossEntropyLoss(weight=WEIGHTS), cast))
    [task] = own.tasks(1, 0)
    estimator = harness.estimator("maml", steps=3, lr=0.1, lam=1.0)
    found, expected = (
        reference_gradient("backprop", each, task, each.theta(), estimator, 0.1) for each in (own, by_hand)
    )
    for name, each in expected.items():
        assert found[name].dtype == torch.float64
        torch.testing.assert_close(found[name], each, rtol=1e-12, atol=0)
    assert harness.validate("maml", own, vs="backprop", steps=3, lr=0.1, lam=1.0, seeds=1).passed


def test_tensors_of_a_loss_that_do_not_follow_are_told_of_the_references() -> None:
    own = ModuleProblem(nn.Linear(3, 3), narrow, labelled)
    assert gradient(own)["weight"].dtype == torch.float32
    [task] = own.tasks(1, 0)
    wide, theta = in_float64(task, own.theta())
    said = (
        r"inner_loss raised RuntimeError: .*; the parameters are float64, in which references are computed, and all .*"
    )
    with pytest.raises(BadInput, match=said):
        harness.estimator("maml", steps=2).meta_gradient(own, wide, theta)
    with pytest.raises(BadInput, match=said):
        harness.validate("maml", own, vs="backprop", steps=2, lr=0.1)


def test_data_of_another_dtype_than_the_module() -> None:
    own = ModuleProblem(nn.Linear(3, 3).bfloat16(), cast, labelled)
    with pytest.raises(
        BadInput, match=r"^inner_loss raised RuntimeError: .*; the parameters are bfloat16, and the data"
    ):
        gradient(own)


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, first: Tensor, second: Tensor | None = None) -> Tensor:
        return self.layer(first if second is None else first + second)


@pytest.mark.parametrize("batching", ["loop", "vmap"])
def test_inputs_are_one_argument_several_or_named(batching: str) -> None:
    def drawn(inputs: Callable[[Tensor], Any]) -> ModuleProblem:
        def draw(n: int, seed: int) -> list[Task]:
            data = torch.randn(n, 4, 3, generator=torch.Generator().manual_seed(seed))
            return [Task((inputs(x), x[:, :1]), (inputs(x), x[:, :1])) for x in data]

        torch.manual_seed(0)
        return ModuleProblem(Sum(), F.mse_loss, draw)

    own = [drawn(lambda x: 2 * x), drawn(lambda x: (x, x)), drawn(lambda x: {"first": x, "second": x})]
    expected, *others = (gradient(each, batching=batching) for each in own)
    for other in others:
        for name, each in expected.items():
            torch.testing.assert_close(other[name], each)
