"""Agreement of vectors that are known."""

import math

import pytest
import torch

from harness.meters.accuracy import agreement


def test_agreement_of_known_vectors() -> None:
    def params(*values: float) -> dict[str, torch.Tensor]:
        return {"a": torch.tensor(values[:1]), "b": torch.tensor(values[1:])}

    same = agreement(params(3, 4), params(3, 4))
    assert (same.relative_error, same.cosine, same.norm_ratio) == (0.0, pytest.approx(1.0), 1.0)
    twice = agreement(params(-6, -8), params(3, 4))
    assert (twice.relative_error, twice.cosine, twice.norm_ratio) == (3.0, pytest.approx(-1.0), 2.0)
    assert agreement(params(4, -3), params(3, 4)).cosine == 0.0
    from_zero = agreement(params(0, 0), params(3, 4))
    assert (from_zero.relative_error, from_zero.norm_ratio) == (1.0, 0.0)
    assert math.isnan(from_zero.cosine)
    assert agreement(params(3, 4), params(0, 0)).relative_error == math.inf
    assert agreement(params(0, 0), params(0, 0)).relative_error == 0.0
