import pytest
import torch
from torch.backends import cuda, mha
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.attention import AttentionWatch, as_in_training, math_attention


def enabled() -> tuple[bool, ...]:
    return cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled(), cuda.math_sdp_enabled()


def second_derivative() -> torch.Tensor:
    x = torch.randn(1, 2, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (slope,) = torch.autograd.grad(F.scaled_dot_product_attention(x, x, x).square().sum(), x, create_graph=True)
    return torch.autograd.grad(slope.square().sum(), x)[0]


def test_attention_can_be_differentiated_twice_within() -> None:
    with pytest.raises(RuntimeError, match="is not implemented"):
        second_derivative()
    with math_attention():
        found = second_derivative()
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.equal(found, second_derivative())


@pytest.mark.parametrize(
    "backends", [[SDPBackend.FLASH_ATTENTION], [SDPBackend.MATH], list(map(SDPBackend, (0, 1, 2)))]
)
def test_what_the_user_chose_is_back_afterwards(backends: list[SDPBackend]) -> None:
    with sdpa_kernel(backends):
        before = enabled()
        with math_attention(), math_attention():
            assert enabled() == (False, False, False, True)
        assert enabled() == before
        with pytest.raises(ValueError, match="any"), math_attention():
            raise ValueError("any")
        assert enabled() == before


def test_the_fast_path_of_eval_mode_is_left_alone_within() -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    with as_in_training(), torch.no_grad():
        assert not mha.get_fastpath_enabled()
        found = layer(x)
    assert mha.get_fastpath_enabled()
    assert torch.equal(found, layer.train()(x).detach())


def test_only_attention_by_the_math_kernel_is_noticed() -> None:
    x = torch.randn(1, 1, 4, 8)
    watch = AttentionWatch()
    with watch:
        F.scaled_dot_product_attention(x, x, x)
        with math_attention():
            F.softmax(x @ x.mT, -1)
    assert not watch.math
    with watch, math_attention():
        F.scaled_dot_product_attention(x, x, x)
    assert watch.math


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_layer_that_needs_no_weights_is_noticed_by_its_attention(need_weights: bool) -> None:
    layer, x, watch = torch.nn.MultiheadAttention(8, 2), torch.randn(2, 1, 8), AttentionWatch()
    with watch, math_attention():
        layer(x, x, x, need_weights=need_weights)
    assert watch.math != need_weights
