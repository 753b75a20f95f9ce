"""Numbers of a lower precision than was asked for."""

from collections.abc import Sequence

import torch

from harness.validation.case import Case
from harness.validation.report import Cause

NAMES = {
    torch.bfloat16: "bfloat16 precision",
    torch.float16: "half precision (float16)",
    torch.float32: "single precision (float32)",
}
"""The narrowest first."""
BLAME = 3.0
"""Most of √eps that a precision can be blamed for."""


def precision(cases: Sequence[Case]) -> Cause | None:
    """That every number returned is one of a lower precision, where the error is one that its rounding may cause."""
    for dtype, name in NAMES.items():
        eps = torch.finfo(dtype).eps
        narrower = all(eps > torch.finfo(case.dtype).eps for case in cases)
        held = all(bool((case.returned.to(dtype).double() == case.returned).all()) for case in cases)
        if narrower and held and all(case.error <= BLAME * eps**0.5 for case in cases):
            return Cause("precision", f"computed in {name}: every number it returned is one of that")
    return None
