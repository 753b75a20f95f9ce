"""Energy of a call, by a counter made up: it moves every 100 ms, as NVIDIA's does."""

import math
import random
from functools import partial
from typing import Any

import pytest
import torch

from harness import passes
from harness.meters.energy import AGREEING, MOST_WINDOWS, STILL_SECONDS, WINDOW_SECONDS, call_energy
from harness.meters.nvml import Nvml
from harness.meters.reading import Reading
from tests.meters.fake_nvml import UUID, Gpu, error


def measured(gpu: Gpu, max_seconds: float = 1e9) -> Reading[float]:
    return call_energy(
        gpu.call,
        Nvml(UUID, gpu).energy_joules,
        lambda: None,
        call_seconds=gpu.call_seconds,
        max_seconds=max_seconds,
        now=lambda: gpu.seconds,
    )


@pytest.mark.parametrize("seconds", [0.0003, 0.005, 0.037, 0.1, 0.15, 0.7, 5.0])
def test_a_call_s_energy_is_its_power_times_its_length(seconds: float) -> None:
    gpu = Gpu(call_seconds=seconds)
    assert measured(gpu).value == pytest.approx(300.0 * seconds, rel=0.04)


def test_a_counter_read_around_each_call_would_have_said_nothing() -> None:
    """The same calls, each between two readings of the counter: nearly all of them read 0."""
    gpu = Gpu(call_seconds=0.0003)
    nvml, moved = Nvml(UUID, gpu), list[bool]()
    for _ in range(100):
        before = nvml.energy_joules().value
        gpu.call()
        moved.append(nvml.energy_joules().value != before)
    assert sum(moved) <= 2
    assert measured(gpu).value == pytest.approx(0.09, rel=0.04)


@pytest.mark.parametrize("tick", [0.02, 0.1, 1.0])
def test_however_often_the_counter_moves(tick: float) -> None:
    assert measured(Gpu(tick=tick)).value == pytest.approx(1.5, rel=0.04)


def test_windows_are_of_seconds_and_no_more_than_must_be() -> None:
    gpu = Gpu()
    measured(gpu)
    assert AGREEING * WINDOW_SECONDS <= gpu.seconds < (AGREEING + 1.5) * WINDOW_SECONDS
    slow = Gpu(call_seconds=30.0)
    assert measured(slow).value == pytest.approx(9000.0, rel=0.01)
    assert slow.calls == 1 + AGREEING


def test_power_that_is_still_rising_is_waited_for() -> None:
    rising = Gpu(watts=lambda seconds: 300.0 if seconds > 5 else 60.0 + 48.0 * seconds)
    assert measured(rising).value == pytest.approx(1.5, rel=0.04)
    assert rising.seconds > 5 + (AGREEING - 1) * WINDOW_SECONDS


def test_windows_that_do_not_agree_are_no_number() -> None:
    swing = random.Random(0)
    levels = [swing.uniform(100.0, 500.0) for _ in range(100)]
    gpu = Gpu(watts=lambda seconds: levels[int(seconds / 2.3)])
    found = measured(gpu)
    assert found.value is None
    assert found.reason is not None
    assert found.reason.startswith(f"{MOST_WINDOWS} windows of 2 s did not agree: the last 3 differ by ")
    assert found.reason.endswith("%, 5% allowed")


def test_a_little_noise_is_no_matter() -> None:
    noise = random.Random(0)
    assert measured(Gpu(watts=lambda seconds: noise.gauss(300.0, 60.0))).value == pytest.approx(1.5, rel=0.04)


def test_a_counter_that_stands_still_is_no_zero() -> None:
    gpu = Gpu(tell=lambda joules: 7_000)
    found = measured(gpu)
    assert found.value is None
    assert found.reason is not None
    assert found.reason.startswith("the energy counter did not move for 2")
    assert STILL_SECONDS < gpu.seconds < STILL_SECONDS + 1


def test_a_counter_that_stops_while_it_is_watched_is_no_number() -> None:
    assert measured(Gpu(tell=lambda joules: round(min(joules, 1e6 + 900.0) * 1e3))).value is None


@pytest.mark.parametrize("modulus", [1e6 + 150.0, 1e6 + 700.0, 1e6 + 1500.0])
def test_a_counter_that_wraps_is_no_number(modulus: float) -> None:
    found = measured(Gpu(tell=lambda joules: round(math.fmod(joules, modulus) * 1e3)))
    assert found.value is None
    assert found.reason is not None
    assert found.reason.startswith("the energy counter went back from ")


@pytest.mark.parametrize("after", [0.0, 500.0])
def test_a_counter_that_is_missing_or_goes_missing_says_why(after: float) -> None:
    def tell(joules: float) -> Any:
        return error("NOT_SUPPORTED") if joules >= 1e6 + after else round(joules * 1e3)

    gpu = Gpu(tell=tell)
    assert measured(gpu) == Reading(None, "NVML: Not Supported")
    assert gpu.calls == 0 or after > 0


def test_what_does_not_fit_into_the_time_left_is_not_begun() -> None:
    gpu = Gpu(call_seconds=30.0)
    reason = "3 windows of 30 s do not fit into the time limit that is left"
    assert measured(gpu, max_seconds=100.0) == Reading(None, reason)
    assert gpu.calls == 0


def test_no_window_begins_that_would_end_too_late() -> None:
    levels = [100.0, 500.0]
    gpu = Gpu(watts=lambda seconds: levels[int(seconds / 2.3) % 2])
    assert measured(gpu, max_seconds=10.0).value is None
    assert gpu.seconds <= 10.5


def test_the_pass_gives_the_energy_or_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu()
    monkeypatch.setattr(passes, "open_nvml", lambda device: Nvml(UUID, gpu))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(passes, "call_energy", partial(call_energy, now=lambda: gpu.seconds))
    device = torch.device("cuda")
    found = passes.energy(gpu.call, device, gpu.call_seconds, max_seconds=60.0)
    assert found.metrics == {"energy_joules": [pytest.approx(1.5, rel=0.04)]}
    assert found.notes == {}
    late = passes.energy(gpu.call, device, gpu.call_seconds, max_seconds=5.0)
    assert late.metrics == {}
    assert late.notes == {"energy_joules": "3 windows of 2 s do not fit into the time limit that is left"}
