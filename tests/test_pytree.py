import pytest
import torch

from harness.errors import BadInput
from harness.phases import listening, phase
from harness.pytree import Layout


def test_ravel_and_unravel_are_inverse_and_views() -> None:
    params = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(9.0), "c": torch.empty(0)}
    layout = Layout.of(params)
    flat = layout.ravel(params)
    assert flat.tolist() == [0, 1, 2, 3, 4, 5, 9]
    back = layout.unravel(flat)
    assert {name: tensor.shape for name, tensor in back.items()} == {n: t.shape for n, t in params.items()}
    back["a"][0, 0] = 7
    assert flat[0] == 7


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "theta has no parameters"),
        ({"a": torch.ones(1), "b": torch.ones(1, dtype=torch.float64)}, "parameters differ in dtype or device"),
    ],
)
def test_params_that_are_no_vector(params: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Layout.of(params)


def test_phases_reach_whoever_listens_and_nobody_else() -> None:
    heard: list[tuple[str, bool]] = []
    with phase("before"):
        pass
    with listening(lambda name, entered: heard.append((name, entered))):
        with phase("inner"), phase("nested"):
            pass
        with pytest.raises(ValueError, match="out"), phase("query"):
            raise ValueError("out")
    with phase("after"):
        pass
    expected = [
        ("inner", True),
        ("nested", True),
        ("nested", False),
        ("inner", False),
        ("query", True),
        ("query", False),
    ]
    assert heard == expected
