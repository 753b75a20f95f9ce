"""The timeline against what is known, and against the allocator's meter."""

import gzip
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import harness
from harness.meters.allocator import allocator_peak
from harness.meters.timeline import Recording, record_timeline, recording
from harness.phases import phase

CPU = torch.device("cpu")
MEGABYTE = 1_000_000


def megabytes(count: int) -> torch.Tensor:
    return torch.empty(count * MEGABYTE, dtype=torch.uint8)


def changes(timeline: Recording) -> list[int]:
    """What was allocated and released, in megabytes, in the order of time."""
    return [(after - before) // MEGABYTE for before, after in pairwise(timeline.live_bytes) if after != before]


def test_known_allocations_are_recorded_to_the_byte_and_in_order(tmp_path: Path) -> None:
    def call() -> None:
        kept = megabytes(3)
        for _ in range(2):
            megabytes(1)
        del kept
        megabytes(2)

    timeline = record_timeline(call, CPU, tmp_path, "known")
    assert changes(timeline) == [3, 1, -1, 1, -1, -3, 2, -2]
    assert max(timeline.live_bytes) == 4 * MEGABYTE
    assert timeline.seconds[0] == 0.0
    assert timeline.seconds == sorted(timeline.seconds)
    assert len(timeline.seconds) == len(timeline.live_bytes)


@pytest.mark.parametrize(
    ("name", "phases"), [("maml", {"inner", "query", "backward"}), ("imaml-cg", {"inner", "query", "linear"})]
)
def test_the_peak_is_the_allocator_meters_to_the_byte(name: str, phases: set[str], tmp_path: Path) -> None:
    problem = harness.problem("conv4", ways=3, shots=1, queries=1)
    estimator = harness.estimator(name, steps=3, lr=0.01, lam=2.0)
    tasks, theta = problem.tasks(2, 0), problem.theta()

    def call() -> object:
        return estimator.meta_gradients(problem, tasks, theta)

    call()
    timeline = record_timeline(call, CPU, tmp_path, name)
    assert max(timeline.live_bytes) == allocator_peak(call, CPU).peak_bytes > 0
    assert {phase for phase, _, _ in timeline.phases} >= phases
    assert all(0 <= start < end <= timeline.seconds[-1] for _, start, end in timeline.phases)


def test_phases_and_bytes_are_told_by_one_clock(tmp_path: Path) -> None:
    def call() -> None:
        with phase("first"):
            sleep(0.03)
            one = megabytes(1)
            sleep(0.01)
        with phase("second"), phase("step"):
            two = megabytes(2)
        del one, two

    timeline = record_timeline(call, CPU, tmp_path, "clock")
    assert [name for name, _, _ in timeline.phases] == ["first", "second", "step"]
    at = {level // MEGABYTE: second for second, level in zip(timeline.seconds, timeline.live_bytes, strict=True)}
    (_, begin, end), (_, _, second_end), (_, step_begin, step_end) = timeline.phases
    grown = [second for second, level in zip(timeline.seconds, timeline.live_bytes, strict=True) if level == MEGABYTE]
    assert begin + 0.03 <= grown[0] <= end - 0.01
    assert step_begin <= at[3] <= step_end <= second_end


def test_on_a_cpu_releasing_what_was_held_before_does_not_count(tmp_path: Path) -> None:
    held = [megabytes(2)]

    def call() -> None:
        held.clear()
        megabytes(1)

    assert changes(record_timeline(call, CPU, tmp_path, "held")) == [1, -1]


def test_the_profilers_trace_is_saved_with_the_phases(tmp_path: Path) -> None:
    def call() -> None:
        with phase("inner"):
            megabytes(1)

    record_timeline(call, CPU, tmp_path / "new" / "folder", "cell")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["cell.profile.json.gz"]
    with gzip.open(tmp_path / "new" / "folder" / "cell.profile.json.gz", "rt") as file:
        names = {event.get("name") for event in json.load(file)["traceEvents"]}
    assert {"meta-gradient", "phase: inner", "[memory]"} <= names


def test_what_the_call_raises_comes_through_and_nobody_listens_on(tmp_path: Path) -> None:
    def call() -> None:
        with phase("inner"):
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        record_timeline(call, CPU, tmp_path, "fails")
    assert changes(record_timeline(lambda: megabytes(1), CPU, tmp_path, "again")) == [1, -1]


def test_releases_are_made_where_the_profiler_sees_them(tmp_path: Path) -> None:
    """Autograd's own thread is not watched once a backward pass has ended."""
    seen: list[bool] = []
    record_timeline(lambda: seen.append(torch._C._is_multithreading_enabled()), CPU, tmp_path, "threads")  # pyright: ignore[reportPrivateUsage]
    assert seen == [False]


@dataclass
class Event:
    """As torch's ``_KinetoEvent``."""

    is_named: str
    start: int
    end: int
    device: str = "CPU"
    index: int = -1
    size: int = 0

    def name(self) -> str:
        return self.is_named

    def start_ns(self) -> int:
        return self.start

    def end_ns(self) -> int:
        return self.end

    def nbytes(self) -> int:
        return self.size

    def device_type(self) -> Any:
        return SimpleNamespace(name=self.device)

    def device_index(self) -> int:
        return self.index


EVENTS = [
    Event("[memory]", 3_000, 3_000, "CUDA", 0, 512),
    Event("[memory]", 2_000, 2_000, "CUDA", 0, 1024),
    Event("[memory]", 2_500, 2_500, "CUDA", 1, 4096),
    Event("[memory]", 2_600, 2_600, "CPU", -1, 7),
    Event("[memory]", 4_000, 4_000, "CUDA", 0, -1024),
    Event("aten::empty", 1_500, 1_600),
    Event("phase: step", 1_500, 2_000),
    Event("phase: inner", 1_500, 3_500),
    Event("meta-gradient", 1_000, 5_000),
    Event("phase: inner", 1_700, 9_000, "CUDA", 0),
    Event("meta-gradient", 1_200, 9_000, "CUDA", 0),
]
"""As on CUDA: several devices' memory, unordered, and the ranges mirrored onto the device's stream."""


@pytest.mark.parametrize(
    ("device", "live_bytes"),
    [("cuda:0", [0, 1024, 1536, 512, 512]), ("cuda:1", [0, 4096, 4096]), ("cpu", [0, 7, 7])],
)
def test_only_the_devices_own_memory_counts(device: str, live_bytes: list[int]) -> None:
    timeline = recording(EVENTS, torch.device(device))
    assert timeline.live_bytes == live_bytes
    assert timeline.seconds[-1] == 4e-6
    assert timeline.phases == [("inner", 5e-7, 2.5e-6), ("step", 5e-7, 1e-6)]


def test_a_cuda_device_without_a_number_is_any() -> None:
    assert recording(EVENTS, torch.device("cuda")).live_bytes == [0, 1024, 5120, 5632, 4608, 4608]
