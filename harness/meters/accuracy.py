"""How far one meta-gradient is from another."""

from dataclasses import dataclass

import torch

from harness.pytree import Params


@dataclass(frozen=True)
class Agreement:
    """An estimate beside a reference, over all parameters as one vector, in float64."""

    relative_error: float
    """‖g − g_ref‖ / ‖g_ref‖; 0 where both are zero, infinite where only the reference is."""
    cosine: float
    """Cosine similarity; NaN where either is zero."""
    norm_ratio: float
    """‖g‖ / ‖g_ref‖; NaN where both are zero."""


def agreement(grad: Params, reference: Params) -> Agreement:
    """Compare ``grad`` with ``reference``, tensors of the same names and shapes."""
    g = torch.cat([grad[name].detach().double().reshape(-1) for name in reference])
    r = torch.cat([tensor.detach().double().reshape(-1) for tensor in reference.values()])
    error, norm, scale = float((g - r).norm()), float(g.norm()), float(r.norm())
    return Agreement(
        relative_error=_ratio(error, scale) if error else 0.0,
        cosine=_ratio(float(g.dot(r)), norm * scale),
        norm_ratio=_ratio(norm, scale),
    )


def _ratio(part: float, whole: float) -> float:
    if whole:
        return part / whole
    return float("inf") if part else float("nan")
