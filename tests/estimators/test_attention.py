# pyright: reportCallIssue=false, reportArgumentType=false
# Its models' arguments are not in the types of transformers.
"""Networks with PyTorch's own attention, which a CPU computes by a kernel without a second derivative."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import harness
from harness.bilevel import Problem, Task
from harness.cell import MATH_ATTENTION, Cell, Part
from harness.estimators import Estimator
from harness.objective import Objective
from harness.passes import Found
from harness.problems.module import ModuleProblem
from harness.pytree import Layout, Params
from harness.registry import PROBLEMS
from harness.worker import measure
from tests.forecast.cells import measured, only

SECOND_ORDER = ["maml", "maml-replay", "maml-checkpoint", "maml-truncated", "imaml-cg", "imaml-nystrom"]
FIRST_ORDER = ["fomaml", "reptile", "darts-fd"]


class WrittenOut(nn.Module):
    """``nn.TransformerEncoderLayer`` of the same parameters, in operations that have all derivatives."""

    def __init__(self, layer: nn.TransformerEncoderLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        own, attention = self.layer, self.layer.self_attn
        query, key, value = (
            each.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
            for each in F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
        )
        scores = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        x = own.norm1(x + attention.out_proj((scores @ value).transpose(1, 2).flatten(-2)))
        return own.norm2(x + own.linear2(F.relu(own.linear1(x))))


class Checkpointed(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.layer, x, use_reentrant=False)


def encoder(
    *, dtype: str = "float64", device: str = "cpu", seed: int = 0, train: bool = True, wrap: Any = None
) -> ModuleProblem:
    torch.manual_seed(seed)
    layer: nn.Module = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
    module = nn.Sequential(nn.Linear(3, 8), wrap(layer) if wrap else layer, nn.Linear(8, 1))
    kind = getattr(torch, dtype)

    def draw(n: int, seed: int) -> list[Task]:
        generator = torch.Generator().manual_seed(seed)

        def data() -> tuple[Tensor, Tensor]:
            x = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64).to(device, kind)
            return x, x.sum(-1, keepdim=True).sin()

        return [Task(data(), data()) for _ in range(n)]

    return ModuleProblem(module.to(device, kind).train(train), F.mse_loss, draw)


def gradient(name: str, own: Problem, **parameters: Any) -> Params:
    estimator: Estimator = harness.estimator(name, **{"steps": 4, "lr": 0.1, "lam": 2.0, **parameters})
    return estimator.meta_gradients(own, own.tasks(2, 0), own.theta()).grad


def flat(params: Params) -> Tensor:
    return torch.cat([each.flatten() for each in params.values()])


def distance(found: Params, expected: Params) -> float:
    return float((flat(found) - flat(expected)).norm() / flat(expected).norm())


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", [*SECOND_ORDER, *FIRST_ORDER])
def test_an_encoder_layer_is_the_one_written_out(name: str, train: bool) -> None:
    expected = gradient(name, encoder(wrap=WrittenOut))
    assert distance(gradient(name, encoder(train=train)), expected) < 1e-10
    assert distance(gradient(name, encoder(train=train), batching="vmap"), expected) < 1e-10


@pytest.mark.parametrize("name", [*SECOND_ORDER, *FIRST_ORDER])
def test_it_is_so_where_the_layer_is_checkpointed(name: str) -> None:
    """Recomputed in a backward pass, it must take the kernels of the forward pass."""
    assert distance(gradient(name, encoder(wrap=Checkpointed)), gradient(name, encoder())) < 1e-10


@pytest.mark.parametrize("name", ["maml", "maml-replay"])
def test_an_encoder_layer_meets_finite_differences(name: str) -> None:
    own, lr, lam, steps = encoder(), 0.1, 2.0, 3
    [task] = own.tasks(1, 0)
    theta = own.theta()
    layout = Layout.of(theta)
    start = layout.ravel(theta)

    def outer(point: Tensor) -> float:
        phi = point
        for _ in range(steps):
            leaf = phi.detach().requires_grad_()
            (slope,) = torch.autograd.grad(own.inner_loss(layout.unravel(leaf), task.support), leaf)
            phi = phi - lr * (slope + lam * (phi - point))
        return float(own.outer_loss(layout.unravel(phi), task.query))

    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(1), dtype=start.dtype)
    h = 1e-5 / float(direction.norm())
    slope = (outer(start + h * direction) - outer(start - h * direction)) / (2 * h)
    estimator = harness.estimator(name, steps=steps, lr=lr, lam=lam)
    found = flat(estimator.meta_gradient(own, task, theta).grad)
    assert slope == pytest.approx(float(found.dot(direction)), rel=1e-6)


def test_every_use_of_a_second_derivative_finds_one() -> None:
    own = encoder()
    [task] = own.tasks(1, 0)
    result = harness.estimator("imaml-cg", steps=3, lr="auto", lam=2.0).meta_gradient(own, task, own.theta())
    objective: Objective = result.diagnostics.objective
    v = torch.ones_like(objective.theta)
    assert bool(objective.curvature(objective.theta)(v).isfinite().all())
    assert harness.conformance.check_problem(own) == []
    assert harness.validate("maml-checkpoint", own, vs="backprop", steps=3, lr=0.1, lam=1.0, seeds=1).passed
    failed = harness.validate("fomaml", own, vs="backprop", steps=3, lr=0.1, lam=1.0, seeds=1)
    assert failed.likely_cause is not None


def gpt2(attention: str, *, dtype: torch.dtype = torch.float64, checkpointed: bool = False) -> ModuleProblem:
    from transformers import GPT2Config, GPT2LMHeadModel

    own: dict[str, Any] = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    sizes = {"vocab_size": 11, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(GPT2Config(**sizes, **own, **ends, attn_implementation=attention)).to(dtype)
    if checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def draw(n: int, seed: int) -> list[Task]:
        tokens = torch.randint(11, (n, 2, 3, 9), generator=torch.Generator().manual_seed(seed))
        return [Task((a[:, :-1], a[:, 1:]), (b[:, :-1], b[:, 1:])) for a, b in tokens]

    def loss(output: Any, tokens: Tensor) -> Tensor:
        return F.cross_entropy(output.logits.flatten(0, 1), tokens.flatten())

    return ModuleProblem(model, loss, draw)


def bert(attention: str, *, dtype: torch.dtype = torch.float64, checkpointed: bool = False) -> ModuleProblem:
    from transformers import BertConfig, BertForSequenceClassification

    own: dict[str, Any] = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    sizes = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {"intermediate_size": 12, "max_position_embeddings": 8, "num_labels": 3}
    torch.manual_seed(0)
    config = BertConfig(**sizes, **more, **own, attn_implementation=attention)
    model: Any = BertForSequenceClassification(config).to(dtype)
    if checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def draw(n: int, seed: int) -> list[Task]:
        generator = torch.Generator().manual_seed(seed)

        def data() -> tuple[dict[str, Tensor], Tensor]:
            tokens = torch.randint(11, (3, 8), generator=generator)
            mask = (tokens > 0).long()
            return {"input_ids": tokens, "attention_mask": mask}, torch.randint(3, (3,), generator=generator)

        return [Task(data(), data()) for _ in range(n)]

    return ModuleProblem(model, lambda output, labels: F.cross_entropy(output.logits, labels), draw)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable`:FutureWarning")
@pytest.mark.parametrize("make", [gpt2, bert])
def test_language_models_are_those_whose_attention_is_written_out(make: Callable[..., ModuleProblem]) -> None:
    """``eager`` is the library's own attention in plain operations."""
    fused, written, checkpointed = make("sdpa"), make("eager"), make("sdpa", checkpointed=True)
    for name in ["maml", "maml-replay", "maml-checkpoint", "imaml-cg", "fomaml"]:
        expected = gradient(name, written, steps=3)
        assert distance(gradient(name, fused, steps=3), expected) < 1e-10
        assert distance(gradient(name, checkpointed, steps=3), expected) < 1e-10


def test_language_models_side_by_side() -> None:
    assert distance(gradient("maml", gpt2("sdpa"), batching="vmap"), gradient("maml", gpt2("eager"))) < 1e-10


def cell(problem: str, estimator: str, steps: int = 4, **changes: Any) -> Cell:
    return Cell(
        problem=Part(name=problem),
        estimator=Part(name=estimator, parameters={"lr": 0.1, "lam": 1.0}),
        label=estimator,
        steps=steps,
        **changes,
    )


@pytest.fixture
def _encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROBLEMS._targets, "encoder", encoder)  # pyright: ignore[reportPrivateUsage]  (taken back)


@pytest.mark.usefixtures("_encoder")
@pytest.mark.parametrize(
    ("name", "steps"), [("maml", 5), ("maml-replay", 5), ("maml-checkpoint", 3), ("imaml-cg", 9), ("fomaml", 9)]
)
def test_the_forecast_of_memory_is_what_is_measured(name: str, steps: int) -> None:
    """But for numbers that autograd saves as tensors, where no mode can see it."""
    one = cell("encoder", name, steps, dtype="float32")
    result = only(one)
    assert result.reason is None
    assert result.peak_bytes == pytest.approx(measured(one), rel=0.01)


@pytest.mark.usefixtures("_encoder")
@pytest.mark.parametrize(
    ("problem", "name", "noted"),
    [("encoder", "maml", True), ("encoder", "imaml-cg", True), ("encoder", "fomaml", False), ("linear", "maml", False)],
)
def test_a_cell_says_where_attention_was_by_the_math_kernel(problem: str, name: str, noted: bool) -> None:
    notes: dict[str, str] = {}

    def collect(found: Found) -> None:
        notes.update(found.notes)

    assert measure(cell(problem, name, measure=("memory", "counters")), collect).reason is None
    assert notes == ({"peak_bytes": MATH_ATTENTION} if noted else {})
