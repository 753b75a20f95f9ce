"""The timeline where the caching allocator is: ``make test-gpu``."""

import pickle
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import harness
from harness.meters.allocator import allocator_peak
from harness.meters.timeline import record_timeline
from harness.phases import phase

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]
MEBIBYTE = 1 << 20


def mebibytes(count: int, device: str = "cuda:0") -> torch.Tensor:
    return torch.empty(count * MEBIBYTE, dtype=torch.uint8, device=device)


def changes(live_bytes: list[int]) -> list[int]:
    return [(after - before) // MEBIBYTE for before, after in pairwise(live_bytes) if after != before]


@pytest.mark.parametrize("device", ["cuda:0", "cuda"])
def test_known_allocations_are_recorded_in_order_and_in_their_phases(device: str, tmp_path: Path) -> None:
    held = [mebibytes(2)]

    def call() -> None:
        with phase("first"):
            kept = mebibytes(4)
            mebibytes(8)
            mebibytes(1, "cpu")
        with phase("second"):
            held.clear()
            del kept

    timeline = record_timeline(call, torch.device(device), tmp_path, "known")
    assert changes(timeline.live_bytes) == [4, 8, -8, -2, -4]
    (_, first_begin, first_end), (_, second_begin, second_end) = timeline.phases
    at = [second for second, (before, after) in zip(timeline.seconds[1:], pairwise(timeline.live_bytes), strict=True)
          if before != after]  # fmt: skip
    assert first_begin <= at[0] <= at[2] <= first_end <= second_begin <= at[3] <= at[4] <= second_end


@pytest.mark.parametrize("name", ["maml", "imaml-cg"])
def test_the_peak_is_the_allocators_own_to_the_byte(name: str, tmp_path: Path) -> None:
    """The backward pass allocates on a thread of its own: that is recorded too."""
    problem = harness.problem("conv4", ways=5, shots=1, queries=1, device="cuda:0")
    estimator = harness.estimator(name, steps=4, lr=0.01, lam=2.0)
    tasks, theta, device = problem.tasks(2, 0), problem.theta(), torch.device("cuda:0")

    def call() -> object:
        return estimator.meta_gradients(problem, tasks, theta)

    call()
    timeline = record_timeline(call, device, tmp_path, name)
    assert max(timeline.live_bytes) == allocator_peak(call, device).peak_bytes > 0


def test_profile_and_snapshot_are_saved_and_recording_ends(tmp_path: Path) -> None:
    record_timeline(lambda: mebibytes(4), torch.device("cuda:0"), tmp_path, "cell")
    assert {path.name for path in tmp_path.iterdir()} == {"cell.profile.json.gz", "cell.snapshot.pickle"}
    snapshot = pickle.loads((tmp_path / "cell.snapshot.pickle").read_bytes())
    sizes = [entry["size"] for trace in snapshot["device_traces"] for entry in trace if entry["action"] == "alloc"]
    assert 4 * MEBIBYTE in sizes
    mebibytes(16)
    after = torch.cuda.memory._snapshot()  # pyright: ignore[reportPrivateUsage]
    assert 16 * MEBIBYTE not in [entry["size"] for trace in after.get("device_traces", []) for entry in trace]


def test_a_call_that_runs_out_of_memory_leaves_its_snapshot(tmp_path: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        record_timeline(lambda: mebibytes(1 << 30), torch.device("cuda:0"), tmp_path, "lost")
    assert (tmp_path / "lost.snapshot.pickle").stat().st_size > 0
