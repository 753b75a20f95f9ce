"""A small decoder-only transformer on sequences whose rule differs from task to task."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.checks import require_count, require_not_negative
from harness.errors import BadInput
from harness.problems.synthetic import Arrays, Data, Examples, Synthetic
from harness.pytree import Params


@dataclass(frozen=True, kw_only=True)
class Transformer(Synthetic):
    """Predict the next token of Markov chains by a pre-norm transformer (Radford et al. 2019), without dropout.

    Each task has a random permutation π of the tokens: after token t comes π(t), or with probability ``noise`` any
    token. Inputs and targets, both of shape (n, context), are the same sequences one token apart. The loss is the
    mean cross-entropy over all positions.

    The network has 2 vocabulary width + context width + layers (12 width² + 13 width) + 2 width parameters: embeddings
    of tokens and positions, an output layer of its own, and a feed-forward layer four times as wide. Attention is
    written out: PyTorch's fused kernels cannot be differentiated twice.

    Args:
        layers: Blocks of attention and feed-forward layer.
        width: Dimension of the residual stream.
        heads: Attention heads; divides ``width``.
        context: Tokens that a sequence shows.
        vocabulary: Different tokens; at least 2.
        noise: Probability of a token that does not follow the rule, from 0 to 1.
        shots: Sequences of the support set.
        queries: Sequences of the query set.
    """

    size: ClassVar[tuple[str, ...]] = ("width", "heads")
    """Parameters that make the model larger, scaled together."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    context: int = 32
    vocabulary: int = 32
    noise: float = 0.1
    shots: int = 8
    queries: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("layers", "width", "heads", "context", "vocabulary", "shots", "queries"):
            require_count(key, getattr(self, key))
        require_not_negative("noise", self.noise)
        if self.width % self.heads:
            raise BadInput(f"heads: {self.heads} does not divide width = {self.width}")
        if self.vocabulary < 2:
            raise BadInput(f"vocabulary: {self.vocabulary} token leaves nothing to predict; at least 2")
        if self.noise > 1:
            raise BadInput(f"noise: {self.noise!r} is not a probability")

    def inner_loss(self, params: Params, support: Data) -> Tensor:
        """Mean cross-entropy of the next token."""
        tokens, targets = support
        return F.cross_entropy(self.logits(params, tokens).flatten(0, 1), targets.flatten())

    def logits(self, params: Params, tokens: Tensor) -> Tensor:
        """Shape (n, context, vocabulary); those at a position depend on the tokens up to it."""
        x = F.embedding(tokens, params["token.weight"]) + params["position.weight"]
        for layer in range(self.layers):
            own = {name: params[f"layer{layer}.{name}"] for name in self._block_shapes()}
            x = x + self._attend(own, _norm(own, "norm1", x))
            x = x + _feed_forward(own, _norm(own, "norm2", x))
        return F.linear(_norm(params, "norm", x), params["output.weight"])

    def _attend(self, own: Params, x: Tensor) -> Tensor:
        """Causal self-attention, shape (n, context, width) in and out."""
        projected = F.linear(x, own["attention.weight"], own["attention.bias"])
        query, key, value = projected.unflatten(-1, (3, self.heads, -1)).transpose(-4, -2).unbind(-3)
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
        mixed = scores.masked_fill(future, -math.inf).softmax(-1) @ value
        return F.linear(mixed.transpose(-3, -2).flatten(-2), own["mix.weight"], own["mix.bias"])

    def _block_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a block's parameters, by name."""
        width = self.width
        return {
            **_with_bias("norm1", width),
            **_with_bias("attention", 3 * width, width),
            **_with_bias("mix", width, width),
            **_with_bias("norm2", width),
            **_with_bias("widen", 4 * width, width),
            **_with_bias("narrow", width, 4 * width),
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters, by name."""
        blocks = {
            f"layer{layer}.{name}": shape
            for layer in range(self.layers)
            for name, shape in self._block_shapes().items()
        }
        return {
            "token.weight": (self.vocabulary, self.width),
            "position.weight": (self.context, self.width),
            **blocks,
            **_with_bias("norm", self.width),
            "output.weight": (self.vocabulary, self.width),
        }

    def draw_theta(self, rng: np.random.Generator) -> Arrays:
        """Weights of variance 1 / fan-in, embeddings standard normal, unit scales and zero biases.

        What a block adds to the residual stream is scaled by 1 / √(2 layers).
        """
        return {name: self._draw(name, shape, rng) for name, shape in self.shapes().items()}

    def _draw(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        if len(shape) == 1:
            return np.zeros(shape) if name.endswith("bias") else np.ones(shape)
        if name in ("token.weight", "position.weight"):
            return rng.standard_normal(shape)
        adds = name.endswith(("mix.weight", "narrow.weight"))
        return rng.standard_normal(shape) / np.sqrt(shape[1] * (2 * self.layers if adds else 1))

    def draw_task(self, rng: np.random.Generator) -> tuple[Examples, Examples]:
        """Sequences of one rule."""
        rule = rng.permutation(self.vocabulary)

        def sequences(n: int) -> Examples:
            # Where the rule is broken, a token drawn beforehand stands; the first token has none before it.
            tokens = rng.integers(self.vocabulary, size=(n, self.context + 1))
            broken = rng.random((n, self.context + 1)) < self.noise
            for position in range(1, self.context + 1):
                followed = rule[tokens[:, position - 1]]
                tokens[:, position] = np.where(broken[:, position], tokens[:, position], followed)
            return tokens[:, :-1].copy(), tokens[:, 1:].copy()

        return sequences(self.shots), sequences(self.queries)


def _with_bias(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _norm(params: Params, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], params[f"{name}.weight"], params[f"{name}.bias"])


def _feed_forward(own: Params, x: Tensor) -> Tensor:
    widened = F.gelu(F.linear(x, own["widen.weight"], own["widen.bias"]))
    return F.linear(widened, own["narrow.weight"], own["narrow.bias"])
