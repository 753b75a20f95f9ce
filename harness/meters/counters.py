"""Floating point operations of a call."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = torch.Size


def count_flops(call: Callable[[], object]) -> int:
    """Run ``call`` once; floating point operations of its matrix and inner products, convolutions and attention.

    A multiply-add counts as two. Element-wise work is not counted.
    """
    with FlopCounterMode(display=False, custom_mapping=_VECTOR_PRODUCTS) as counter:
        call()
    return int(counter.get_total_flops())


def _matrix_vector(matrix: Shape, vector: Shape, *_: Any, **__: Any) -> int:
    return 2 * matrix[0] * matrix[1]


def _add_matrix_vector(start: Shape, matrix: Shape, vector: Shape, *_: Any, **__: Any) -> int:
    return 2 * matrix[0] * matrix[1]


def _inner(left: Shape, right: Shape, *_: Any, **__: Any) -> int:
    return 2 * left[0]


_VECTOR_PRODUCTS = {
    torch.ops.aten.mv: _matrix_vector,
    torch.ops.aten.addmv: _add_matrix_vector,
    torch.ops.aten.dot: _inner,
}
"""Products with vectors, which torch's counter leaves out."""
