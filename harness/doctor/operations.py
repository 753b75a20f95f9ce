"""Calls of a known number of floating point operations."""

from collections.abc import Callable

import torch
from torch.nn.functional import conv2d

from harness.doctor.finding import Finding
from harness.meters.counters import count_flops


def known_flops(device: torch.device, meter: Callable[[Callable[[], object]], int] = count_flops) -> list[Finding]:
    """Products, a convolution and their gradients, a multiply-add for two; element-wise work for none."""
    left, right = torch.ones(17, 23, device=device), torch.ones(23, 31, device=device)
    vector = torch.ones(23, device=device)
    images, filters = torch.ones(2, 3, 11, 11, device=device), torch.ones(5, 3, 3, 3, device=device)
    weight = torch.ones(23, 31, device=device, requires_grad=True)
    product, convolution = 2 * 17 * 23 * 31, 2 * (2 * 5 * 9 * 9) * (3 * 3 * 3)
    planted: dict[str, tuple[int, Callable[[], object]]] = {
        "matrix product": (product, lambda: left @ right),
        "matrix-vector product": (2 * 17 * 23, lambda: left @ vector),
        "convolution": (convolution, lambda: conv2d(images, filters)),
        "product with its gradient": (2 * product, lambda: (left @ weight).sum().backward()),
        "element-wise work": (0, lambda: left.exp().add(1).mul(left)),
    }
    return [Finding.exact(f"FLOPs: {name}", truth, meter(call), "FLOP") for name, (truth, call) in planted.items()]
