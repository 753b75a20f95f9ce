"""Operations against known counts."""

import pytest
import torch

from harness.meters.counters import count_flops


@pytest.mark.parametrize(
    ("call", "flops"),
    [
        (lambda: torch.ones(3, 4) @ torch.ones(4, 5), 2 * 3 * 4 * 5),
        (lambda: torch.ones(3, 4) @ torch.ones(4), 2 * 3 * 4),
        (lambda: torch.addmv(torch.ones(3), torch.ones(3, 4), torch.ones(4)), 2 * 3 * 4),
        (lambda: torch.ones(7).dot(torch.ones(7)), 2 * 7),
        (lambda: torch.conv2d(torch.ones(1, 2, 6, 6), torch.ones(4, 2, 3, 3)), 2 * 4 * 4 * 4 * 2 * 3 * 3),
    ],
)
def test_flops_of_known_products(call: object, flops: int) -> None:
    assert callable(call)
    assert count_flops(call) == flops
