"""Built-in parts keep their contracts; parts that break one are found out, each with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

import harness
from harness import conformance
from harness.bilevel import Task
from harness.data import ImageSet, Split
from harness.data.glyphs import Glyphs
from harness.estimators import Estimate, Estimator
from harness.estimators.first_order import Fomaml
from harness.objective import Objective
from harness.problems.linear import LinearRegression
from harness.problems.module import ModuleProblem
from harness.pytree import Params
from harness.registry import ESTIMATORS

PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("linear", {"dim": 6, "n": 9}),
    "logistic": ("logistic", {"dim": 6, "n": 9}),
    "sinusoid": ("sinusoid", {}),
    "mlp": ("mlp", {"width": 9, "depth": 2}),
    "transformer": ("transformer", {"layers": 1, "width": 8, "heads": 2, "context": 5, "vocabulary": 6}),
    "conv4": ("conv4", {"ways": 2, "shots": 2, "queries": 1}),
}
ESTIMATOR_PARAMETERS: dict[str, dict[str, Any]] = {"maml-truncated": {"lam": 0.1, "last": 2}}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_built_in_problems_conform(name: str, dtype: str) -> None:
    kind, parameters = PROBLEMS[name]
    assert conformance.check_problem(harness.problem(kind, dtype=dtype, **parameters)) == []


@pytest.mark.parametrize("name", [name for name in ESTIMATORS.names() if name.startswith(("m", "i", "fo", "r", "d"))])
def test_built_in_estimators_conform(name: str) -> None:
    estimator = harness.estimator(name, steps=3, lr=0.3, **ESTIMATOR_PARAMETERS.get(name, {}))
    assert conformance.check_estimator(estimator) == []
    assert conformance.check_estimator(estimator, LinearRegression(dim=4, n=9, dtype="float32")) == []


def test_the_built_in_image_source_conforms() -> None:
    assert conformance.check_image_source(Glyphs()) == []


Loss = Callable[["Odd", Params, Any], Tensor]


def usual_loss(odd: "Odd", params: Params, data: Any) -> Tensor:
    return ((data @ params["w"]).tanh() - 0.3).square().mean()


@dataclass
class Odd:
    """A small right problem, of which each test replaces one thing."""

    loss: Loss = usual_loss
    start: Callable[["Odd"], Any] = lambda odd: {"w": torch.linspace(-1, 1, 4, dtype=torch.float64)}
    draw: Callable[[int, int], Any] | None = None
    module: nn.Module | None = None
    memory: list[Tensor] = field(default_factory=lambda: [torch.zeros(1, dtype=torch.float64)])
    calls: int = 0

    def theta(self) -> Params:
        self.calls += 1
        return self.start(self)

    def inner_loss(self, params: Params, support: Any) -> Tensor:
        self.calls += 1
        return self.loss(self, params, support)

    def outer_loss(self, params: Params, query: Any) -> Tensor:
        return usual_loss(self, params, query)

    def tasks(self, n: int, seed: int) -> Sequence[Task]:
        if self.draw is not None:
            return self.draw(n, seed)
        generator = torch.Generator().manual_seed(seed)
        return [Task(*torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)) for _ in range(n)]


def test_the_small_problem_conforms() -> None:
    assert conformance.check_problem(Odd()) == []


def writes_to_data(odd: Odd, params: Params, data: Tensor) -> Tensor:
    data[:, 3] += 1
    return (data[:, 0] * params["w"][0]).square().mean()


def writes_to_params(odd: Odd, params: Params, data: Tensor) -> Tensor:
    params["w"].data[3] += 1
    return (data[:, 0] * params["w"][0]).square().mean()


def writes_to_its_memory(odd: Odd, params: Params, data: Tensor) -> Tensor:
    odd.memory[0] += 1
    return usual_loss(odd, params, data)


def through_a_module(odd: Odd, params: Params, data: Tensor) -> Tensor:
    assert odd.module is not None
    return functional_call(odd.module, {}, (data,)).square().mean() + usual_loss(odd, params, data)


def differentiates_itself(odd: Odd, params: Params, data: Tensor) -> Tensor:
    loss = usual_loss(odd, params, data)
    loss.backward()
    return loss


class Crooked(torch.autograd.Function):
    """A square whose second derivative is wrong."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0].detach() * outputs[0] + 0 * ctx.saved_tensors[0] * outputs[0]


class Wrong(Crooked):
    """A square whose first derivative is wrong."""

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] * outputs[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": lambda odd: {}}, "theta() returns no dict, or an empty one"),
        ({"start": lambda odd: {"w": 1.0}}, "theta()['w'] is a float, not a tensor"),
        ({"start": lambda odd: {"w": torch.ones(4, dtype=torch.int64)}}, "theta()['w'] is torch.int64"),
        ({"start": lambda odd: {"w": torch.full((4,), torch.nan)}}, "theta()['w'] is not finite"),
        (
            {"start": lambda odd: {"w": torch.full((4,), float(odd.calls), dtype=torch.float64)}},
            "theta() returns other values at the second call",
        ),
        ({"draw": lambda n, seed: None}, "tasks(2, 0) returned None, not a list of 2 Tasks"),
        ({"draw": lambda n, seed: iter(())}, "tasks(2, 0) returned a tuple_iterator, not a list of 2 Tasks"),
        (
            {"draw": lambda n, seed: 1 / 0},
            "tasks() raised ZeroDivisionError: division by zero (test_conformance.py, line ",
        ),
        (
            {"draw": lambda n, seed: [(torch.ones(5, 4), torch.ones(5, 4))] * n},
            "tasks(2, 0): a task is a tuple, not a harness.Task(support, query)",
        ),
        (
            {"start": lambda odd: 1 / 0},
            "theta() raised ZeroDivisionError: division by zero (test_conformance.py, line ",
        ),
        ({"loss": differentiates_itself}, "inner_loss raised RuntimeError: element 0 of tensors does not require grad"),
        ({"draw": lambda n, seed: []}, "tasks(2, 0) returned 0 of them, not a list of 2 Tasks"),
        (
            {"draw": lambda n, seed: [Task(*torch.rand(2, 5, 4, dtype=torch.float64)) for _ in range(n)]},
            "tasks(2, 0) returns other tasks at the second call",
        ),
        ({"draw": lambda n, seed: [Task(torch.ones(5, 4), torch.ones(5, 4))] * n}, "a task holds torch.float32, theta"),
        (
            {"draw": lambda n, seed: [Task(*torch.ones(2, 5, 4, device="meta").double())] * n},
            "a task is on meta, theta",
        ),
        ({"loss": lambda odd, params, data: 1.0}, "inner_loss returned a float, not a scalar tensor"),
        ({"loss": lambda odd, params, data: data @ params["w"]}, "inner_loss returned shape (5,), not a scalar"),
        (
            {"loss": lambda odd, params, data: params["w"].sum().float()},
            "inner_loss returned float32 for parameters of float64, so digits are lost",
        ),
        ({"loss": lambda odd, params, data: params["w"].sum() / 0}, "inner_loss is not finite at theta"),
        ({"loss": lambda odd, params, data: params["w"].sum() + odd.calls}, "for the same arguments: dropout, or"),
        ({"loss": lambda odd, params, data: usual_loss(odd, params, data.mul_(2))}, "for the same arguments"),
        ({"loss": writes_to_data}, "inner_loss changes the data it is given"),
        ({"loss": writes_to_params}, "inner_loss changes the parameters it is given"),
        ({"loss": writes_to_its_memory}, "inner_loss changes the problem's memory: running batch-norm statistics?"),
        (
            {"loss": through_a_module, "module": nn.BatchNorm1d(4, dtype=torch.float64)},
            "inner_loss changes the problem's module.running_mean: running batch-norm statistics?",
        ),
        ({"loss": through_a_module, "module": nn.Dropout(0.5)}, "for the same arguments: dropout"),
        ({"loss": lambda odd, params, data: params["w"].detach().sum()}, "inner_loss cannot be differentiated twice"),
        (
            {"loss": lambda odd, params, data: Crooked.apply(params["w"]).sum()},
            "inner_loss: its Hessian-vector product is off by 1.0e+00 from finite differences",
        ),
        (
            {"loss": lambda odd, params, data: Wrong.apply(params["w"]).sum()},
            "inner_loss: its gradient is off by 3.3e-01 from finite differences",
        ),
    ],
)
def test_a_broken_problem_is_found_out(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        conformance.check_problem(Odd(**change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_padding_without_a_gradient_is_told_with_the_remedy() -> None:
    module = nn.Sequential(nn.Embedding(5, 3, padding_idx=2), nn.Flatten(), nn.Linear(12, 1)).double()
    places = torch.tensor([[0, 1, 2, 3], [2, 4, 1, 0]])
    task = Task((places, torch.ones(2, 1).double()), (places, torch.zeros(2, 1).double()))
    own = ModuleProblem(module, F.mse_loss, lambda n, seed: [task] * n)
    with pytest.raises(AssertionError) as caught:
        conformance.check_problem(own)
    assert "off by" in str(caught.value)
    assert "in '0.weight'; padding_idx = 2 gives that row no gradient; set padding_idx=None" in str(caught.value)


def test_a_module_in_evaluation_mode_conforms() -> None:
    for module in (nn.BatchNorm1d(4, dtype=torch.float64).eval(), nn.Dropout(0.5).eval()):
        assert conformance.check_problem(Odd(loss=through_a_module, module=module)) == []


def test_numbers_that_are_not_in_double_precision_are_named() -> None:
    constant = torch.ones(4)
    loss: Loss = lambda odd, params, data: (params["w"] @ constant).square()  # noqa: E731
    single = Odd(
        loss=loss,
        start=lambda odd: {"w": torch.ones(4)},
        draw=lambda n, seed: [Task(torch.ones(5, 4), torch.ones(5, 4))] * n,
    )
    with pytest.raises(AssertionError, match="inner_loss cannot be computed in float64"):
        conformance.check_problem(single)


def test_what_vmap_cannot_do_is_a_remark() -> None:
    def branches(odd: Odd, params: Params, data: Tensor) -> Tensor:
        return usual_loss(odd, params, data) * (1 if float(data.sum()) < 100 else 2)

    [remark] = conformance.check_problem(Odd(loss=branches))
    assert remark.startswith("torch.func.vmap cannot batch the losses: ")

    def guesses(odd: Odd, params: Params, data: Tensor) -> Tensor:
        try:
            return branches(odd, params, data)
        except RuntimeError:
            return 2 * usual_loss(odd, params, data)

    with pytest.raises(AssertionError, match=r"the losses under torch.func.vmap differ from those one by one"):
        conformance.check_problem(Odd(loss=guesses))

    def ragged(n: int, seed: int) -> list[Task]:
        return [
            Task(torch.ones(5 + i, 4, dtype=torch.float64), torch.ones(5, 4, dtype=torch.float64)) for i in range(n)
        ]

    [remark] = conformance.check_problem(Odd(draw=ragged))
    assert "equal shapes" in remark

    def silent(odd: Odd, params: Params, data: Tensor) -> Tensor:
        try:
            return branches(odd, params, data)
        except RuntimeError:
            raise NotImplementedError from None

    [remark] = conformance.check_problem(Odd(loss=silent))
    said = (
        "torch.func.vmap cannot batch the losses: inner_loss raised NotImplementedError: no message (test_conformance"
    )
    assert remark.startswith(said)


def test_data_besides_tensors_cannot_be_batched_and_is_a_remark() -> None:
    @dataclass(frozen=True)
    class Weighted(LinearRegression):
        def tasks(self, n: int, seed: int) -> Sequence[Task]:
            return [Task((task.support, 2.0), (task.query, 2.0)) for task in super().tasks(n, seed)]

        def inner_loss(self, params: Params, support: Any) -> Tensor:
            data, weight = support
            return weight * super().inner_loss(params, data)

        def implicit_meta_gradient(self, task: Task, theta: Params, lam: float) -> Params:
            (support, weight), (query, _) = task.support, task.query
            found = super().implicit_meta_gradient(Task(support, query), theta, lam / weight)
            return {name: weight * tensor for name, tensor in found.items()}

    [remark] = conformance.check_problem(Weighted(dim=4, n=8))
    assert "tensors alone" in remark


def test_a_wrong_closed_form_is_found_out() -> None:
    class Off(LinearRegression):
        def implicit_meta_gradient(self, task: Task, theta: Params, lam: float) -> Params:
            return super().implicit_meta_gradient(task, theta, 1.01 * lam)

    with pytest.raises(AssertionError, match=r"implicit_meta_gradient is off by .* from a numerical solution"):
        conformance.check_problem(Off(dim=4, n=8))


@dataclass(frozen=True)
class Broken(Fomaml):
    """First-order MAML that does what ``fault`` says."""

    fault: str = ""

    def estimate(self, objective: Objective, lr: float) -> Estimate:
        estimate = super().estimate(objective, lr)
        match self.fault:
            case "graph":
                return replace(estimate, grad=estimate.grad.requires_grad_() * 1)
            case "nan":
                return replace(estimate, grad=estimate.grad * torch.nan)
            case "dtype":
                return replace(estimate, grad=estimate.grad.float())
            case "loss":
                return replace(estimate, query_loss=estimate.query_loss + 1)
            case "loss shape":
                return replace(estimate, query_loss=estimate.query_loss.unsqueeze(0))
            case "random":
                return replace(estimate, grad=torch.randn_like(estimate.grad))
            case "steps":
                return replace(estimate, diagnostics=replace(estimate.diagnostics, steps=99))
            case "vmap":
                return replace(estimate, grad=estimate.grad * estimate.grad.dim())
            case "one only":
                if estimate.grad.dim() > 1:
                    raise RuntimeError("one task only")
                return estimate
            case _:
                return estimate


@dataclass(frozen=True)
class Sums(Fomaml):
    """Adds up tasks instead of taking their mean, and changes θ where it is told to."""

    writes: bool = False

    def meta_gradient(self, problem: Any, task: Task, theta: Params) -> Any:
        result = super().meta_gradient(problem, task, theta)
        if self.writes:
            theta["w"] += 1
        return result

    def meta_gradients(self, problem: Any, tasks: Any, theta: Params) -> Any:
        result = super().meta_gradients(problem, tasks, theta)
        return replace(result, grad={name: 2 * tensor for name, tensor in result.grad.items()})


class NoResult(Fomaml):
    def meta_gradient(self, problem: Any, task: Task, theta: Params) -> Any:
        return super().meta_gradient(problem, task, theta).grad


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Broken(2, fault="graph"), "the gradient of 'w' carries a graph"),
        (Broken(2, fault="nan"), "the gradient of 'w' is not finite"),
        (Broken(2, fault="dtype"), "the gradient of 'w' is torch.float32 of shape (6,), theta torch.float64"),
        (Broken(2, fault="loss"), "query_loss is"),
        (Broken(2, fault="loss shape"), "query_loss is not a detached scalar"),
        (Broken(2, fault="random"), "returns another gradient at the second call"),
        (Broken(2, fault="steps"), "diagnostics.steps is above steps"),
        (Broken(2, fault="vmap"), "batching = 'vmap' is not the mean that batching = 'loop' is"),
        (Sums(2), "meta_gradients is not the mean of meta_gradient: relative error 1.0e+00"),
        (Sums(2, writes=True), "meta_gradient changes theta"),
        (NoResult(2), "meta_gradient returns a dict, not a MetaGradient"),
    ],
)
def test_a_broken_estimator_is_found_out(estimator: Estimator, message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        conformance.check_estimator(estimator)
    assert message in str(caught.value)


def test_an_estimator_of_one_task_only_is_a_remark() -> None:
    [remark] = conformance.check_estimator(Broken(2, fault="one only"))
    assert remark.startswith("batching = 'vmap' fails: ")


@dataclass
class Source:
    """Ten classes of three random images, half of them in each split; each test changes what is loaded."""

    change: Callable[[ImageSet, Split, int], ImageSet] = lambda images, split, loads: images
    loads: int = 0

    def load(self, split: Split) -> ImageSet:
        self.loads += 1
        images = np.random.default_rng(0).integers(0, 255, (5, 3, 1, 4, 4), dtype=np.uint8)
        return self.change(ImageSet(images, tuple(f"{split}{i}" for i in range(5))), split, self.loads)


def test_a_right_image_source_conforms() -> None:
    assert conformance.check_image_source(Source()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images, split, loads: ImageSet(images.images / 255, images.names), "are float64, not uint8"),
        (lambda images, split, loads: ImageSet(images.images[:, 0], images.names), "have shape (5, 1, 4, 4), not"),
        (lambda images, split, loads: ImageSet(images.images, images.names[1:]), "train: 4 names for 5 classes"),
        (lambda images, split, loads: ImageSet(images.images, ("a",) * 5), "two classes have the same name"),
        (lambda images, split, loads: ImageSet(images.images, tuple("abcde")), "classes in both splits: a, b, c"),
        (lambda images, split, loads: ImageSet(images.images + np.uint8(loads), images.names), "other classes at the"),
        (
            lambda images, split, loads: ImageSet(images.images[..., : 3 if split == "test" else 4], images.names),
            "images have shape (1, 4, 4) in train and (1, 4, 3) in test",
        ),
    ],
)
def test_a_broken_image_source_is_found_out(change: Any, message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        conformance.check_image_source(Source(change))
    assert message in str(caught.value)


def test_too_few_images_for_an_episode_is_a_remark() -> None:
    one = Source(lambda images, split, loads: ImageSet(images.images[:, :1], images.names))
    assert [remark.split(":")[0] for remark in conformance.check_image_source(one)] == [
        "no 2-way 1-shot episode can be drawn from train",
        "no 2-way 1-shot episode can be drawn from test",
    ]
