# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
# Submodules and layers of users are found by name, as torch's types do not tell.
"""Modules as users write them, a small one of each kind, and a problem of each."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.bilevel import Task
from harness.cell import Cell, Part
from harness.problems.module import ModuleProblem

EXAMPLES, CLASSES, LENGTH = 5, 3, 7


class Doing(nn.Module):
    """Layers by name, and what is done with them, up to a last linear layer."""

    def __init__(self, forward: Callable[["Doing", Tensor], Tensor], features: int, **layers: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.last = nn.Linear(features, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of the classes."""
        return self.last(self._forward(self, x).flatten(1))


def recurrent(rnn: nn.RNNBase, features: int = 6) -> nn.Module:
    return Doing(lambda self, x: self.rnn(x)[0][:, -1], features, rnn=rnn)


def images(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), *layers, nn.Flatten(), nn.LazyLinear(CLASSES))


def attention(self: Doing, x: Tensor) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return self.attention(x, x, x)[0][:, -1]


def near_identity(a: Tensor) -> Tensor:
    return torch.eye(a.shape[1]) + a.T @ a / 50


SEQUENCES, IMAGES, TOKENS, VECTORS = (LENGTH, 4), (2, 6, 6), "tokens", (4,)

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...] | str]] = {
    "LSTM": (lambda: recurrent(nn.LSTM(4, 6, batch_first=True)), SEQUENCES),
    "LSTM of two layers": (lambda: recurrent(nn.LSTM(4, 6, 2, batch_first=True)), SEQUENCES),
    "LSTM of both directions": (lambda: recurrent(nn.LSTM(4, 6, batch_first=True, bidirectional=True), 12), SEQUENCES),
    "LSTM with a projection": (lambda: recurrent(nn.LSTM(4, 6, batch_first=True, proj_size=3), 3), SEQUENCES),
    "LSTM of embeddings": (
        lambda: Doing(
            lambda self, x: self.rnn(self.words(x))[0][:, -1],
            6,
            words=nn.Embedding(9, 4),
            rnn=nn.LSTM(4, 6, batch_first=True),
        ),
        TOKENS,
    ),
    "GRU": (lambda: recurrent(nn.GRU(4, 6, batch_first=True)), SEQUENCES),
    "RNN": (lambda: recurrent(nn.RNN(4, 6, batch_first=True)), SEQUENCES),
    "LSTMCell": (lambda: Doing(lambda self, x: self.cell(x)[0], 6, cell=nn.LSTMCell(4, 6)), VECTORS),
    "attention": (
        lambda: Doing(attention, 4, attention=nn.MultiheadAttention(4, 2, batch_first=True)),
        SEQUENCES,
    ),
    "embedding bag": (lambda: Doing(lambda self, x: self.words(x), 4, words=nn.EmbeddingBag(9, 4)), TOKENS),
    "embedding bag, largest": (
        lambda: Doing(lambda self, x: self.words(x), 4, words=nn.EmbeddingBag(9, 4, mode="max")),
        TOKENS,
    ),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(LENGTH, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(9, 3)), SEQUENCES),
    "conv3d": (
        lambda: Doing(lambda self, x: self.conv(x.unsqueeze(1)).relu(), 3 * 16, conv=nn.Conv3d(1, 3, (2, 3, 3))),
        IMAGES,
    ),
    "transposed convolution": (lambda: images(nn.ConvTranspose2d(4, 3, 3), nn.Tanh()), IMAGES),
    "depthwise convolution": (lambda: images(nn.Conv2d(4, 8, 2, groups=4), nn.Tanh()), IMAGES),
    "group norm": (lambda: images(nn.GroupNorm(2, 4)), IMAGES),
    "instance norm": (lambda: images(nn.InstanceNorm2d(4, affine=True)), IMAGES),
    "batch norm": (lambda: images(nn.BatchNorm2d(4, track_running_stats=False)), IMAGES),
    "batch norm's running statistics": (lambda: images(nn.BatchNorm2d(4)).eval(), IMAGES),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3)), VECTORS),
    "response norm": (lambda: images(nn.LocalResponseNorm(2)), IMAGES),
    "frozen layer": (
        lambda: nn.Sequential(nn.Linear(4, 6).requires_grad_(False), nn.Tanh(), nn.Linear(6, 3)),
        VECTORS,
    ),
    "max pool with indices": (
        lambda: Doing(
            lambda self, x: F.max_unpool2d(*F.max_pool2d(self.conv(x), 2, return_indices=True), 2),
            3 * 16,
            conv=nn.Conv2d(2, 3, 3),
        ),
        IMAGES,
    ),
    "pixel shuffle": (lambda: images(nn.PixelShuffle(2), nn.Tanh()), IMAGES),
    "interpolation": (lambda: images(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Tanh()), IMAGES),
    "unfold": (lambda: images(nn.Unfold(2)), IMAGES),
    "einsum": (
        lambda: Doing(lambda self, x: torch.einsum("bij,kj->bk", x, self.a.weight).tanh(), 4, a=nn.Linear(4, 4)),
        SEQUENCES,
    ),
    "FFT": (lambda: Doing(lambda self, x: torch.fft.rfft(self.a(x)).abs(), 4, a=nn.Linear(4, 6)), VECTORS),
    "cumsum": (lambda: Doing(lambda self, x: self.a(x).cumsum(1), 6, a=nn.Linear(4, 6)), VECTORS),
    "sort": (lambda: Doing(lambda self, x: self.a(x).sort(1)[0], 6, a=nn.Linear(4, 6)), VECTORS),
    "topk": (lambda: Doing(lambda self, x: self.a(x).topk(4, 1)[0], 4, a=nn.Linear(4, 6)), VECTORS),
    "gather": (
        lambda: Doing(
            lambda self, x: self.a(x).gather(1, torch.zeros(EXAMPLES, 4, dtype=torch.long)), 4, a=nn.Linear(4, 6)
        ),
        VECTORS,
    ),
    "scatter": (
        lambda: Doing(
            lambda self, x: torch.zeros(EXAMPLES, 4).scatter_add(
                1, torch.ones(EXAMPLES, 6, dtype=torch.long), self.a(x)
            ),
            4,
            a=nn.Linear(4, 6),
        ),
        VECTORS,
    ),
    "index": (lambda: Doing(lambda self, x: self.a(x)[:, [0, 2, 3]], 3, a=nn.Linear(4, 6)), VECTORS),
    "linear solve": (
        lambda: Doing(lambda self, x: torch.linalg.solve(near_identity(self.a(x)), x.T).T, 4, a=nn.Linear(4, 4)),
        VECTORS,
    ),
    "inverse": (
        lambda: Doing(lambda self, x: x @ torch.linalg.inv(near_identity(self.a(x))), 4, a=nn.Linear(4, 4)),
        VECTORS,
    ),
    "determinant": (
        lambda: Doing(lambda self, x: x * torch.linalg.slogdet(near_identity(self.a(x)))[1], 4, a=nn.Linear(4, 4)),
        VECTORS,
    ),
    "Cholesky": (
        lambda: Doing(
            lambda self, x: torch.cholesky_solve(x.T, torch.linalg.cholesky(near_identity(self.a(x)))).T,
            4,
            a=nn.Linear(4, 4),
        ),
        VECTORS,
    ),
}
"""By kind of layer or operation: how to make one, and the shape of an example."""


def of_module(kind: str, dtype: str, device: str, seed: int) -> ModuleProblem:
    """Classification by a module of ``kind``."""
    make, shape = MODULES[kind]
    like = {"dtype": getattr(torch, dtype), "device": "cpu" if device == "meta" else device}

    def draw(n: int, seed: int) -> list[Task]:
        generator = torch.Generator().manual_seed(seed)

        def pair() -> tuple[Tensor, Tensor]:
            targets = torch.randint(CLASSES, (EXAMPLES,), generator=generator).to(like["device"])
            if isinstance(shape, str):
                return torch.randint(9, (EXAMPLES, LENGTH), generator=generator).to(like["device"]), targets
            return torch.randn(EXAMPLES, *shape, generator=generator).to(**like), targets

        return [Task(pair(), pair()) for _ in range(n)]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make()
        module(draw(1, 0)[0].support[0].to("cpu", torch.float32 if not isinstance(shape, str) else torch.long))
    return ModuleProblem(module.to(**like), F.cross_entropy, draw)


def cell(kind: str, estimator: str, steps: int) -> Cell:
    """A meta-gradient of a module of ``kind``, with λ = 1."""
    return Cell(
        problem=Part(name="module", parameters={"kind": kind}),
        estimator=Part(name=estimator, parameters={"lr": 0.01, "lam": 1.0}),
        label=estimator,
        steps=steps,
    )
