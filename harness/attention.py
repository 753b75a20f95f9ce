"""Attention that can be differentiated twice.

PyTorch's fused kernels of ``scaled_dot_product_attention`` have neither a second derivative nor a rule for
``torch.func.vmap``. Its math kernel is written out in operations that have both, and holds the scores in memory.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch.backends import cuda, mha
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@contextmanager
def math_attention() -> Generator[None]:
    """Let attention within the block be computed by the math kernel, and by no fused one.

    What ``torch.nn.attention.sdpa_kernel`` does, at a tenth of its 27 µs, which small problems would feel. Backward
    passes through what was computed within belong within too: gradient checkpointing computes it again there.
    """
    fused = cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled()
    if not any(fused):
        yield
        return
    math = cuda.math_sdp_enabled()
    _enable((False, False, False), math=True)
    try:
        yield
    finally:
        _enable(fused, math=math)


def _enable(fused: tuple[bool, bool, bool], *, math: bool) -> None:
    flash, mem_efficient, cudnn = fused
    cuda.enable_flash_sdp(flash)
    cuda.enable_mem_efficient_sdp(mem_efficient)
    cuda.enable_cudnn_sdp(cudnn)
    cuda.enable_math_sdp(math)


@contextmanager
def as_in_training() -> Generator[None]:
    """Keep layers in eval mode off the fused forward kernels that they take where no gradient is wanted.

    A loss is then the same function, rounding included, whether or not its gradient is taken.
    """
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


class AttentionWatch(TorchFunctionMode):
    """Notices, while it is entered, attention that is computed under :func:`math_attention`."""

    math: bool = False
    """Whether there was any."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # Calls within this one are not seen: those of attention layers are told by what they are asked for.
        fused = func is F.multi_head_attention_forward and not kwargs.get("need_weights", True)
        if (fused or func is F.scaled_dot_product_attention) and not cuda.flash_sdp_enabled():
            self.math = True
        return func(*args, **kwargs)
