"""The losses' derivatives against finite differences in float64, along seeded random directions.

Estimators, references and a user's own code all differentiate the same losses, so what autograd gets wrong there (a
custom ``backward``, ``detach``, activations recomputed with other parameters) shows in no comparison between them.

A difference is trusted only where three estimates of it agree among themselves: forward and backward, each of second
order, and central, of fourth. With step h their errors are O(h²) and rounding is O(eps |f| / h), and a kink between the
points, or at the point itself, sets forward and backward apart by the jump whatever h. Where no h makes them agree
nothing is said.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from harness.bilevel import Checked
from harness.objective import Objective
from harness.pytree import Layout

STEPS = (1e-5, 1e-6, 1e-7, 1e-4, 1e-3)
"""Lengths h, relative to the parameters, in the order tried."""
MOVE = 0.3
"""How far from θ the second point is, relative to the parameters."""
SEED = 0
RESOLVED = 1e-5
"""Relative disagreement of the estimates up to which they say something."""
FAULT = 1e-6
"""Relative error of a derivative that is a fault, if it is also many times what the estimates disagree by."""
MANY = 10
ROUNDING = 32
"""Multiples of eps |f| that a sum over a data set may be off by."""

Function: TypeAlias = Callable[[Tensor], Tensor]
"""A vector or a scalar of the parameters."""


@dataclass(frozen=True)
class _Difference:
    """A derivative along a direction by differences, and how far its estimates are apart."""

    value: Tensor
    spread: float

    def gap(self, found: Tensor) -> float:
        return float((found - self.value).norm())

    def scale(self, found: Tensor) -> float:
        return max(float(self.value.norm()), float(found.norm()) if bool(found.isfinite().all()) else 0.0)

    def resolves(self, found: Tensor) -> bool:
        return self.spread <= RESOLVED * self.scale(found)

    def allows(self, found: Tensor) -> bool:
        return self.gap(found) <= max(MANY * self.spread, FAULT * self.scale(found))


def derivative_fault(objective: Objective, *, outer_twice: bool = False) -> str | None:
    """What autograd gets wrong of the losses, in a line; ``None`` where nothing is found.

    Their gradients and Hessian-vector products are looked at, at θ and at a point beside it.

    Args:
        objective: Of one task, in float64.
        outer_twice: Whether the outer loss is held to its Hessian-vector products as well, which no estimator takes.
    """
    return next(_faults(objective.uncounted(), outer_twice), None)


def _faults(objective: Objective, outer_twice: bool) -> Iterator[str]:
    direction = _direction(objective, SEED)
    points = {
        "theta": objective.theta,
        "a point beside theta": objective.theta + MOVE * _direction(objective, SEED + 1),
    }
    outer = replace(objective, inner_loss=objective.outer_loss)
    for name, loss, twice in (("inner_loss", objective, True), ("outer_loss", outer, outer_twice)):
        for where, point in points.items():
            yield from _loss_faults(loss, name, where, point, direction, twice)


def _loss_faults(
    loss: Objective, name: str, where: str, point: Tensor, direction: Tensor, twice: bool
) -> Iterator[str]:
    def value(at: Tensor) -> Tensor:
        with torch.no_grad():
            return loss.inner_loss(at)

    gradient = loss.support_gradient(point)
    if not _agrees(value, point, direction, lambda along: gradient.dot(along)):
        blamed = [
            each
            for each, part in _parts(direction, loss.layout)
            if not _agrees(value, point, part, lambda along: gradient.dot(along))
        ]
        yield _line(loss, name, "gradient", where, value, point, direction, gradient.dot(direction), blamed)
    if twice:
        product = loss.hessian(point)(direction)
        if not _agrees(loss.support_gradient, point, direction, lambda _: product):
            blamed = _rows(loss, point, direction, product)
            gradients = loss.support_gradient
            yield _line(loss, name, "Hessian-vector product", where, gradients, point, direction, product, blamed)


def _direction(objective: Objective, seed: int) -> Tensor:
    """A normal vector as large in each tensor as its entries are, or where these are all 0 as those of the others."""
    generator = torch.Generator().manual_seed(seed)
    theta = objective.theta
    direction = torch.randn(theta.shape, generator=generator, dtype=torch.float64).to(theta)
    overall = float(theta.square().mean().sqrt()) or 1.0
    parts, values = direction.split(objective.layout.sizes), theta.split(objective.layout.sizes)
    sizes = [float(each.square().mean().sqrt()) or overall if len(each) else 1.0 for each in values]
    return torch.cat([size * part for size, part in zip(sizes, parts, strict=True)])


def _parts(direction: Tensor, layout: Layout) -> Iterator[tuple[str, Tensor]]:
    """The direction in one parameter alone, by name."""
    start = 0
    for name, size in zip(layout.names, layout.sizes, strict=True):
        part = torch.zeros_like(direction)
        part[start : start + size] = direction[start : start + size]
        yield name, part
        start += size


def _rows(loss: Objective, point: Tensor, direction: Tensor, product: Tensor) -> list[str]:
    """Parameters in whose rows the product is off."""
    for difference in _differences(loss.support_gradient, point, direction):
        if difference.resolves(product) and not difference.allows(product):
            by_name = loss.layout.unravel(difference.value - product)
            least = difference.gap(product) / 10
            return [name for name, rows in by_name.items() if float(rows.norm()) > least]
    return []


def _agrees(function: Function, point: Tensor, direction: Tensor, derivative: Callable[[Tensor], Tensor]) -> bool:
    """Whether a derivative is what the differences say, or these say nothing: it takes two of them to contradict it."""
    found, against = derivative(direction), 0
    for difference in _differences(function, point, direction):
        if difference.resolves(found):
            if difference.allows(found):
                return True
            against += 1
            if against == 2:
                return False
    return True


def _differences(function: Function, point: Tensor, direction: Tensor) -> Iterator[_Difference]:
    here = function(point)
    for h in STEPS:
        values = {k: function(point + k * h * direction) for k in (-2, -1, 1, 2)}
        forward = (4 * values[1] - 3 * here - values[2]) / (2 * h)
        backward = (3 * here - 4 * values[-1] + values[-2]) / (2 * h)
        central = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * h)
        if bool(torch.stack([forward, backward, central]).isfinite().all()):
            rounding = ROUNDING * torch.finfo(here.dtype).eps * float(here.norm()) / h
            spread = max(float((forward - central).norm()), float((backward - central).norm()))
            yield _Difference(central, spread + rounding)


def _line(
    loss: Objective,
    name: str,
    what: str,
    where: str,
    function: Function,
    point: Tensor,
    direction: Tensor,
    found: Tensor,
    blamed: list[str],
) -> str:
    difference = min(_differences(function, point, direction), key=lambda each: each.spread)
    shown = ", ".join(f"'{each}'" for each in blamed[:3]) + (f" and {len(blamed) - 3} more" if len(blamed) > 3 else "")
    off = difference.gap(found) / difference.scale(found)
    fault = f"off by {off:.1e} from" if bool(found.isfinite().all()) else "not finite, unlike"
    place = f"at {where}{f', in {shown}' if blamed else ''}"
    remedies = (loss.problem.remedy(each) for each in blamed) if isinstance(loss.problem, Checked) else ()
    remedy = next(filter(None, remedies), "")
    return f"{name}: its {what} is {fault} finite differences in float64, {place}{'; ' if remedy else ''}{remedy}"
