"""Parameters as ``dict[str, Tensor]`` for users and as one flat vector for the algorithms.

Solvers work on the flat vector: an update of any network is then one kernel, and every inner product one call.
"""

from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor

from harness.errors import BadInput

Params: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """Where each named tensor lies in the flat vector."""

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]

    @classmethod
    def of(cls, params: Params) -> "Layout":
        """The layout of ``params``.

        Raises:
            BadInput: There are none, or they differ in dtype or device.
        """
        if not params:
            raise BadInput("theta has no parameters")
        kinds = {(p.dtype, p.device) for p in params.values()}
        if len(kinds) > 1:
            raise BadInput(f"parameters differ in dtype or device: {', '.join(sorted(map(str, kinds)))}")
        return cls(tuple(params), tuple(p.shape for p in params.values()))

    @property
    def sizes(self) -> list[int]:
        """Number of elements of each tensor."""
        return [prod(shape) for shape in self.shapes]

    def ravel(self, params: Params) -> Tensor:
        """Copy ``params`` into one vector, shape (sum of sizes,)."""
        return torch.cat([params[name].reshape(-1) for name in self.names])

    def unravel(self, flat: Tensor) -> Params:
        """Views into ``flat`` of shape (..., n), differentiable, by name; leading dimensions stay."""
        pieces, lead = flat.split(self.sizes, dim=-1), flat.shape[:-1]
        return {
            name: piece.view(lead + shape) for name, shape, piece in zip(self.names, self.shapes, pieces, strict=True)
        }
