from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import BadInput
from harness.problems.conv4 import Conv4


def parameters(problem: Conv4) -> int:
    return sum(p.numel() for p in problem.theta().values())


@pytest.mark.parametrize(("ways", "expected"), [(5, 113_221), (20, 117_076)])
def test_the_network_has_the_papers_size(ways: int, expected: int) -> None:
    assert parameters(Conv4(ways=ways)) == expected


def test_tasks_have_the_shape_asked_for_and_distinct_images() -> None:
    problem = Conv4(ways=5, shots=2, queries=3)
    first, second = problem.tasks(2, seed=4)
    images, labels = first.support
    assert images.shape == (10, 1, 28, 28)
    assert images.dtype == torch.float32
    assert (float(images.min()), float(images.max())) == (0.0, 1.0)
    assert torch.bincount(labels).tolist() == [2] * 5
    queries, query_labels = first.query
    assert torch.bincount(query_labels).tolist() == [3] * 5
    together = torch.cat([images, queries]).flatten(1)
    assert len(torch.unique(together, dim=0)) == 25
    assert not torch.equal(images, second.support[0])
    again = problem.tasks(2, seed=4)[0]
    assert torch.equal(images, again.support[0])
    assert torch.equal(labels, again.support[1])


def test_theta_and_tasks_are_the_same_in_every_dtype_but_for_rounding() -> None:
    exact, rounded = Conv4(ways=5, dtype="float64", seed=3), Conv4(ways=5, dtype="float32", seed=3)
    for name, value in exact.theta().items():
        assert torch.equal(value.float(), rounded.theta()[name])
    assert torch.equal(exact.tasks(1, 0)[0].query[0].float(), rounded.tasks(1, 0)[0].query[0])
    other = Conv4(ways=5, dtype="float32", seed=4).theta()["conv0.weight"]
    assert not torch.equal(rounded.theta()["conv0.weight"], other)


def test_an_untrained_network_is_near_chance_and_one_step_helps() -> None:
    problem = Conv4(ways=5, shots=5, queries=5)
    [task] = problem.tasks(1, 0)
    theta = {name: value.requires_grad_() for name, value in problem.theta().items()}
    loss = problem.inner_loss(theta, task.support)
    assert 0.5 * np.log(5) < loss.item() < 3 * np.log(5)
    loss.backward()
    moved = {name: value - 0.1 * value.grad for name, value in theta.items() if value.grad is not None}
    assert problem.inner_loss(moved, task.support).item() < loss.item()


def test_batch_norm_uses_the_batch_and_keeps_nothing() -> None:
    problem = Conv4(ways=5)
    [task] = problem.tasks(1, 0)
    theta, (images, _) = problem.theta(), task.support
    once, twice = problem.logits(theta, images), problem.logits(theta, images)
    assert torch.equal(once, twice)
    torch.testing.assert_close(problem.logits(theta, images * 3), once, rtol=1e-2, atol=1e-2)
    assert not torch.allclose(problem.logits(theta, images[:5]), once[:5])


def test_images_of_a_folder(tmp_path: Path) -> None:
    for part in ("images_background", "images_evaluation"):
        for character in range(4):
            folder = tmp_path / part / "Alphabet" / f"character{character:02}"
            folder.mkdir(parents=True)
            for instance in range(3):
                pixels = np.full((105, 105), 255, dtype=np.uint8)
                pixels[10 * instance : 10 * instance + 20, 20 * character : 20 * character + 9] = 0
                Image.fromarray(pixels).save(folder / f"{instance}.png")
    problem = Conv4(source="omniglot", folder=str(tmp_path), ways=4, shots=1, queries=2)
    [task] = problem.tasks(1, 0)
    assert task.support[0].shape == (4, 1, 28, 28)
    with pytest.raises(BadInput):
        Conv4(source="omniglot", folder=str(tmp_path), ways=5, shots=1, queries=2).tasks(1, 0)


def test_colour_photographs_of_a_folder(tmp_path: Path) -> None:
    for split, colour in (("train", 0), ("test", 2)):
        for name in ("bird", "bus"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for instance in range(3):
                pixels = np.zeros((84, 84, 3), dtype=np.uint8)
                pixels[20 * instance : 20 * instance + 15, :, colour] = 255 if name == "bird" else 100
                Image.fromarray(pixels).save(folder / f"{instance}.png")
    problem = Conv4(source="miniimagenet", folder=str(tmp_path), split="test", ways=2, shots=1, queries=2)
    [task] = problem.tasks(1, 0)
    images, labels = task.support
    assert images.shape == (2, 3, 84, 84)
    assert images.amax(dim=(0, 2, 3)).tolist() == [0.0, 0.0, 1.0]
    assert images.amax(dim=(1, 2, 3)).unique().tolist() == pytest.approx([100 / 255, 1.0])
    assert task.query[0].shape == (4, 3, 84, 84)
    assert problem.theta()["linear.weight"].shape == (2, 64 * 6 * 6)
    assert problem.inner_loss(problem.theta(), (images, labels)).isfinite()
    photographs = Conv4(source="miniimagenet", folder=str(tmp_path), ways=5)
    assert parameters(photographs) == 124_613


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ways": 0}, "ways: 0 is not a positive whole number"),
        ({"shots": 1.5}, "shots: 1.5 is not"),
        ({"activation": "rulu"}, "unknown activation 'rulu': did you mean 'relu'"),
        ({"seed": 0.5}, "seed: 0.5 is not a whole number >= 0"),
        ({"dtype": "flat32"}, "unknown dtype 'flat32': did you mean 'float32'"),
        ({"split": "tset"}, "unknown split 'tset': did you mean 'test'"),
        ({"source": "glyph"}, "unknown image source 'glyph': did you mean 'glyphs'"),
        ({"source": "omniglot"}, "image source 'omniglot': needs folder"),
        ({"folder": "x"}, "image source 'glyphs': unknown parameter 'folder'"),
    ],
)
def test_bad_parameters(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=f"^{message}"):
        Conv4(**parameters).tasks(1, 0)  # pyright: ignore[reportArgumentType]
