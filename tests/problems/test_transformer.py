import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.problems.transformer import Transformer
from harness.pytree import Params
from tests.problems.descent import adapted


@pytest.mark.parametrize(
    ("layers", "width", "heads", "context", "vocabulary"), [(2, 64, 4, 32, 32), (1, 6, 3, 4, 5), (3, 8, 1, 2, 9)]
)
def test_parameters_follow_the_formula(layers: int, width: int, heads: int, context: int, vocabulary: int) -> None:
    theta = Transformer(layers=layers, width=width, heads=heads, context=context, vocabulary=vocabulary).theta()
    expected = 2 * vocabulary * width + context * width + layers * (12 * width**2 + 13 * width) + 2 * width
    assert sum(value.numel() for value in theta.values()) == expected


def test_targets_are_the_inputs_one_token_on() -> None:
    [task] = Transformer(context=9, vocabulary=6, shots=4, queries=3).tasks(1, 0)
    tokens, targets = task.support
    assert tokens.shape == targets.shape == (4, 9)
    assert task.query[0].shape == task.query[1].shape == (3, 9)
    assert torch.equal(tokens[:, 1:], targets[:, :-1])
    assert (int(tokens.min()), int(tokens.max())) == (0, 5)


def test_a_task_follows_one_permutation_but_for_noise() -> None:
    problem = Transformer(context=500, vocabulary=8, noise=0.2, shots=20, queries=20)
    rules: list[list[int]] = []
    for task in problem.tasks(3, 0):
        counts = np.zeros((8, 8))
        for tokens, targets in (task.support, task.query):
            np.add.at(counts, (tokens.numpy(), targets.numpy()), 1)
        rules.append(counts.argmax(axis=1).tolist())
        assert sorted(rules[-1]) == list(range(8))
        # A broken step hits the rule's token by chance, once in 8.
        assert counts.max(axis=1).sum() / counts.sum() == pytest.approx(0.8 + 0.2 / 8, abs=0.01)
    assert len({tuple(rule) for rule in rules}) == 3


def test_without_noise_the_rule_is_never_broken() -> None:
    [task] = Transformer(vocabulary=5, noise=0.0).tasks(1, 0)
    pairs = {*zip(task.support[0].flatten().tolist(), task.support[1].flatten().tolist(), strict=True)}
    assert len(pairs) == 5


def test_no_position_sees_the_future() -> None:
    problem = Transformer(layers=2, width=8, heads=2, context=6, vocabulary=7, dtype="float64")
    [task] = problem.tasks(1, 0)
    theta, tokens = problem.theta(), task.support[0][:1]
    logits = problem.logits(theta, tokens)
    for position in range(6):
        changed = tokens.clone()
        changed[0, position] = (tokens[0, position] + 1) % 7
        moved = (problem.logits(theta, changed) - logits).abs().amax(-1)[0] > 1e-12
        assert moved.tolist() == [False] * position + [True] * (6 - position)


def test_positions_are_told_apart() -> None:
    problem = Transformer(layers=1, width=8, heads=2, context=3, vocabulary=7)
    first, second, third = problem.logits(problem.theta(), torch.zeros(1, 3, dtype=torch.int64))[0]
    assert not torch.allclose(first, second)
    assert not torch.allclose(second, third)


def test_blocks_are_pytorchs() -> None:
    """With every parameter away from its initial value, so that none can stand in for another."""
    problem = Transformer(layers=2, width=12, heads=3, context=5, vocabulary=6, dtype="float64")
    [task] = problem.tasks(1, 0)
    generator = torch.Generator().manual_seed(0)
    theta = {
        name: value + torch.randn(value.shape, generator=generator, dtype=torch.float64) / 4
        for name, value in problem.theta().items()
    }
    tokens, targets = task.support
    x = theta["token.weight"][tokens] + theta["position.weight"]
    for layer in range(2):
        x = pytorchs_block(theta, layer)(x, src_mask=nn.Transformer.generate_square_subsequent_mask(5))
    logits = F.layer_norm(x, (12,), theta["norm.weight"], theta["norm.bias"]) @ theta["output.weight"].T
    torch.testing.assert_close(problem.logits(theta, tokens), logits)
    likelihood = logits.log_softmax(-1).gather(-1, targets[..., None])
    torch.testing.assert_close(problem.inner_loss(theta, task.support), -likelihood.mean())


def pytorchs_block(theta: Params, layer: int) -> nn.Module:
    names = {
        "attention": "self_attn.in_proj_",
        "mix": "self_attn.out_proj.",
        "widen": "linear1.",
        "narrow": "linear2.",
        "norm1": "norm1.",
        "norm2": "norm2.",
    }
    block = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", norm_first=True, batch_first=True, dtype=torch.float64
    )
    block.load_state_dict(
        {
            f"{name}{kind}": theta[f"layer{layer}.{own}.{kind}"]
            for own, name in names.items()
            for kind in ("weight", "bias")
        }
    )
    return block


def test_an_untrained_network_is_near_chance_and_steps_teach_it_the_rule() -> None:
    problem = Transformer()
    [task] = problem.tasks(1, 0)
    chance = math.log(problem.vocabulary)
    assert chance < problem.inner_loss(problem.theta(), task.support).item() < 1.3 * chance
    phi = adapted(problem, task, 20, 0.5)
    assert problem.inner_loss(phi, task.support).item() < 0.1 * chance
    assert problem.outer_loss(phi, task.query).item() < 0.5 * chance
