"""Forecasts against the caching allocator's own count: ``make test-gpu``."""

import pytest
import torch

from harness.cell import Part
from tests.forecast.cells import cell, measured, only

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]


@pytest.mark.parametrize("steps", [1, 4, 16])
@pytest.mark.parametrize("estimator", ["maml", "maml-replay", "imaml-cg"])
def test_a_forecast_is_near_what_is_measured(estimator: str, steps: int) -> None:
    """Of the paper's 20-way tasks: left-overs of blocks, up to 1 MiB each, are a small part of them."""
    one = cell("conv4", estimator, steps, device="cuda:0")
    one = one.model_copy(update={"problem": Part(name="conv4", parameters={"ways": 20, "shots": 5})})
    result = only(one)
    assert result.reason is None
    assert not result.without_scratch
    assert result.peak_bytes == pytest.approx(measured(one), rel=0.1)
