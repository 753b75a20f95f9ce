"""Forecasts of modules as users write them, against the allocator's own count: to the byte, or a reason."""

import pytest

from harness.registry import PROBLEMS
from tests.combinations import by_turns
from tests.forecast.cells import measured, only
from tests.forecast.modules import MODULES, cell, of_module

HELD_BETWEEN_KERNELS = ["LSTM", "GRU", "embedding bag", "attention", "linear solve"]
"""One of each kind that needs care: a workspace, whole numbers of one kernel for another, numbers that are saved."""
FIRST_ORDER_ALONE = ["embedding bag", "embedding bag, largest"]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROBLEMS._targets, "module", of_module)  # pyright: ignore[reportPrivateUsage]  (taken back)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("estimator", ["maml", "fomaml"])
def test_a_forecast_is_what_is_measured(estimator: str, kind: str) -> None:
    assert_exact(kind, estimator, 3)


@pytest.mark.parametrize(
    ("kind", "estimator"), list(by_turns(HELD_BETWEEN_KERNELS, ["maml-replay", "maml", "imaml-cg", "fomaml"]))
)
def test_it_is_so_by_the_law_of_many_steps(kind: str, estimator: str) -> None:
    assert_exact(kind, estimator, 12)


def assert_exact(kind: str, estimator: str, steps: int) -> None:
    one = cell(kind, estimator, steps)
    result = only(one)
    if kind in FIRST_ORDER_ALONE and estimator != "fomaml":
        assert result.peak_bytes is None
        assert result.reason is not None
        assert "the derivative for '_embedding_bag_backward' is not implemented" in result.reason
        return
    assert (result.reason, result.without_scratch) == (None, False)
    assert result.peak_bytes == measured(one)
