"""Whether a gradient is one of a function: then its Jacobian, the Hessian, is symmetric."""

import torch
from torch import Tensor

from harness.pytree import Params


def directions(theta: Params, seed: int) -> Params:
    """A seeded draw, every entry of up to the size of that of θ, or of the mean of a tensor's where that is 0."""
    generator = torch.Generator().manual_seed(seed)
    size = max(float(each.abs().mean()) for each in theta.values()) or 1.0

    def drawn(each: Tensor) -> Tensor:
        draw = torch.rand(each.shape, generator=generator, dtype=torch.float64).to(each) * 2 - 1
        return draw * torch.where(each == 0, size, each)

    return {name: drawn(each) for name, each in theta.items()}


def only(direction: Params, name: str) -> Params:
    """The direction with all but one of its tensors 0."""
    return {each: part if each == name else torch.zeros_like(part) for each, part in direction.items()}


def asymmetry_of(slope: Params, theta: Params, one: Params, other: Params) -> float:
    """|uᵀHv − vᵀHu| as a multiple of what rounding may make of it, with H the Jacobian of ``slope`` at ``theta``.

    Rounding is given half the digits of the products, and of the slopes along u and v: next to these a small H is
    rounding itself. The multiple is 0 where a number is not finite.

    Args:
        slope: A gradient with respect to ``theta``, with its graph.
        theta: Leaves.
        one: u.
        other: v.
    """
    gradient, u, v = _flat(slope), _flat(one), _flat(other)
    if not gradient.requires_grad:
        return 0.0
    hu, hv = _product(gradient, theta, u), _product(gradient, theta, v)
    lengths = u.norm() * hv.norm() + v.norm() * hu.norm() + gradient.norm() * (u.norm() + v.norm())
    allowed = torch.finfo(u.dtype).eps ** 0.5 * lengths.detach()
    ratio = (u.dot(hv) - v.dot(hu)).abs() / allowed
    return float(ratio) if bool(ratio.isfinite()) else 0.0


def _product(gradient: Tensor, theta: Params, vector: Tensor) -> Tensor:
    leaves = list(theta.values())
    parts = torch.autograd.grad(gradient, leaves, vector, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([part.reshape(-1) for part in parts])


def _flat(params: Params) -> Tensor:
    return torch.cat([each.reshape(-1) for each in params.values()])
