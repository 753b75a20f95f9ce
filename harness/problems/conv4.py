"""Few-shot image classification with the paper's four-layer convolutional network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.bilevel import Task
from harness.checks import require_count, require_dtype, require_seed
from harness.data.source import ImageSet, Split, episode
from harness.errors import unknown
from harness.problems.activations import activation
from harness.pytree import Params
from harness.registry import IMAGE_SOURCES

LAYERS = 4

Data = tuple[Tensor, Tensor]
"""Images (n, channels, height, width) in [0, 1] and labels (n,)."""


@dataclass(frozen=True)
class Conv4:
    """N-way K-shot classification by 4 × [3×3 convolution, stride 2; batch norm; activation] and a linear layer.

    The network and its size are the paper's (113,221 parameters 5-way, 117,076 20-way, on 28×28 grey images; 124,613
    5-way on the 84×84 colour images of ``miniimagenet``). Batch norm uses the current batch's statistics and keeps no
    running ones. Both losses are the mean cross-entropy.

    Args:
        source: Name of the image source.
        folder: Its folder, for a source that reads one.
        ways: Classes in a task.
        shots: Support images of each class.
        queries: Query images of each class.
        filters: Of each convolution; the paper has 64.
        activation: ``relu`` (the paper's), ``tanh`` or ``softplus``.
        split: Which part of the source tasks are drawn from, ``train`` or ``test``.
        dtype: Of everything returned. Values are drawn in float64 and rounded.
        device: Where the tensors live.
        seed: Draws θ.

    Raises:
        BadInput: A parameter out of its range, or a source that cannot give such tasks.
    """

    size: ClassVar[tuple[str, ...]] = ("filters",)
    """Parameters that make the model larger, scaled together."""

    source: str = "glyphs"
    folder: str | None = None
    ways: int = 20
    shots: int = 5
    queries: int = 5
    filters: int = 64
    activation: str = "relu"
    split: str = "train"
    dtype: str = "float32"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("ways", "shots", "queries", "filters"):
            require_count(key, getattr(self, key))
        activation(self.activation)
        require_dtype(self.dtype)
        require_seed("seed", self.seed)
        if self.split not in get_args(Split):
            raise unknown("split", self.split, get_args(Split))
        IMAGE_SOURCES.get(self.source)

    @cached_property
    def _images(self) -> ImageSet:
        parameters = {} if self.folder is None else {"folder": self.folder}
        return IMAGE_SOURCES.create(self.source, **parameters).load(self.split)

    def theta(self) -> Params:
        """He-normal convolutions, a linear layer of variance 1 / fan-in, unit scales and zero biases.

        On the device ``meta``, which holds no values, none are drawn.
        """
        dtype = getattr(torch, self.dtype)
        if self.device == "meta":
            return {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape in self.shapes().items()}
        rng = np.random.default_rng([self.seed, 0])
        drawn = {name: _draw(name, shape, rng) for name, shape in self.shapes().items()}
        return {name: torch.from_numpy(value).to(device=self.device, dtype=dtype) for name, value in drawn.items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of θ by name."""
        channels, height, width = self._images.images.shape[2:]
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(LAYERS):
            shapes[f"conv{layer}.weight"] = (self.filters, channels if layer == 0 else self.filters, 3, 3)
            for name in (f"conv{layer}.bias", f"norm{layer}.weight", f"norm{layer}.bias"):
                shapes[name] = (self.filters,)
            height, width = (height + 1) // 2, (width + 1) // 2
        return {**shapes, "linear.weight": (self.ways, self.filters * height * width), "linear.bias": (self.ways,)}

    def inner_loss(self, params: Params, support: Data) -> Tensor:
        """Mean cross-entropy of the support set."""
        images, labels = support
        return F.cross_entropy(self.logits(params, images), labels)

    def outer_loss(self, params: Params, query: Data) -> Tensor:
        """Mean cross-entropy of the query set."""
        return self.inner_loss(params, query)

    def logits(self, params: Params, images: Tensor) -> Tensor:
        """The network's output, shape (n, ways), for images of shape (n, channels, height, width)."""
        activate = activation(self.activation)
        x = images
        for layer in range(LAYERS):
            x = F.conv2d(x, params[f"conv{layer}.weight"], params[f"conv{layer}.bias"], stride=2, padding=1)
            x = F.batch_norm(x, None, None, params[f"norm{layer}.weight"], params[f"norm{layer}.bias"], training=True)
            x = activate(x)
        return F.linear(x.flatten(1), params["linear.weight"], params["linear.bias"])

    def tasks(self, n: int, seed: int) -> Sequence[Task]:
        """``n`` tasks of ``ways`` classes; support and query images of a task are distinct."""
        return [self._task(np.random.default_rng([seed, index, 1])) for index in range(n)]

    def _task(self, rng: np.random.Generator) -> Task:
        support_x, support_y, query_x, query_y = episode(self._images, self.ways, self.shots, self.queries, rng)
        return Task(self._data(support_x, support_y), self._data(query_x, query_y))

    def _data(self, images: np.ndarray, labels: np.ndarray) -> Data:
        dtype = getattr(torch, self.dtype)
        scaled = torch.from_numpy(images).to(device=self.device, dtype=dtype) / 255
        return scaled, torch.from_numpy(labels).to(device=self.device, dtype=torch.int64)


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if len(shape) == 1:
        return np.ones(shape) if name.startswith("norm") and name.endswith("weight") else np.zeros(shape)
    if name == "linear.weight":
        return rng.standard_normal(shape) / np.sqrt(shape[1])
    return rng.standard_normal(shape) * np.sqrt(2 / math.prod(shape[1:]))
