"""The memory pass over calls whose memory is known."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.cell import Cell, Part
from harness.passes import memory, trace
from harness.timelines import TRACES, load_timelines

CPU = torch.device("cpu")


class Keeping:
    """Keeps what it made until it is called again, as a cache of the last parameters does; made 1,000 bytes before."""

    def __init__(self) -> None:
        self.kept: list[torch.Tensor] = []
        self()

    def __call__(self) -> None:
        self.kept.clear()
        torch.empty(5_000, dtype=torch.uint8)
        self.kept.append(torch.empty(1_000, dtype=torch.uint8))


def test_what_the_call_before_kept_is_not_counted_on_top() -> None:
    """5,000 bytes while nothing else is held: 4,000 more than before the call, which leaves what it found."""
    metrics = memory(Keeping(), CPU).metrics
    assert metrics["peak_bytes"] == [4_000]
    assert metrics["retained_bytes"] == [0, 0]


def test_its_timeline_ends_where_it_began(tmp_path: Path) -> None:
    cell = Cell(problem=Part(name="linear"), estimator=Part(name="maml"), label="maml", steps=1)
    trace(cell, Keeping(), CPU, tmp_path / TRACES)
    [timeline] = load_timelines(tmp_path)
    assert (min(timeline.live_bytes), max(timeline.live_bytes), timeline.live_bytes[-1]) == (-1_000, 4_000, 0)


def lstm() -> None:
    nn.LSTM(4, 6)(torch.zeros(5, 5, 4))


@pytest.mark.parametrize(
    ("call", "kernels"),
    [
        (lstm, "aten::mkldnn_rnn_layer"),
        (lambda: torch.zeros(100).topk(3), "aten::topk"),
        (lambda: (torch.zeros(100).topk(3), torch.zeros(100).mode()), "aten::mode, aten::topk"),
    ],
)
def test_memory_that_kernels_take_past_the_allocator_is_noted(call: Callable[[], object], kernels: str) -> None:
    assert memory(call, CPU).notes == {
        "peak_bytes": f"without what {kernels} take from the system itself while they run; rss_peak_bytes has it"
    }


def test_elsewhere_there_is_nothing_to_note() -> None:
    assert memory(lambda: torch.zeros(100).sort(), CPU).notes == {}
