"""Samples are marked for what was seen around them, and unknown is not clean."""

import os
from typing import Any

import pynvml
import pytest

from harness.meters.gpu_watch import Watch
from harness.meters.nvml import Nvml
from tests.meters.fake_nvml import UUID, FakeNvml, error, process

CLOCK = "nvmlDeviceGetClockInfo"
REASONS = "nvmlDeviceGetCurrentClocksEventReasons"
PROCESSES = "nvmlDeviceGetComputeRunningProcesses"


def watched(*samples: tuple[dict[str, Any], dict[str, Any]], **always: Any) -> Watch:
    """A watch that found these readings before and after each sample, and else the normal ones."""
    library = FakeNvml(**always)
    usual = dict(library.readings)
    watch = Watch(Nvml(UUID, library))
    for start, end in samples:
        library.readings = usual | start
        watch.before()
        library.readings = usual | end
        watch.after()
    return watch


CLEAN: tuple[dict[str, Any], dict[str, Any]] = ({}, {})


def test_clean_samples_are_not_suspect() -> None:
    watch = watched(CLEAN, CLEAN)
    assert watch.suspicions() == [(), ()]
    assert watch.notes() == {}
    assert watch.metrics() == {
        "suspect": [0.0, 0.0],
        "sm_clock_hertz": [1.98e9, 1.98e9],
        "temperature_celsius": [41.0, 41.0],
    }


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({REASONS: pynvml.nvmlClocksEventReasonSwPowerCap}, "power cap"),
        ({REASONS: pynvml.nvmlClocksEventReasonHwThermalSlowdown}, "thermal slowdown by the hardware"),
        ({PROCESSES: [process(os.getpid(), 1), process(1, 1)]}, "other processes on the device"),
    ],
)
def test_throttling_and_company_at_either_end_are_suspect(end: int, seen: dict[str, Any], words: str) -> None:
    sample = (CLEAN[0] | seen, CLEAN[1]) if end == 0 else (CLEAN[0], CLEAN[1] | seen)
    watch = watched(CLEAN, sample, CLEAN)
    assert watch.suspicions() == [(), (words,), ()]
    assert watch.metrics()["suspect"] == [0.0, 1.0, 0.0]
    assert watch.notes() == {"suspect": f"{words} (1 of 3 samples)"}


def test_idling_and_settings_are_not_suspect() -> None:
    harmless = pynvml.nvmlClocksEventReasonGpuIdle | pynvml.nvmlClocksEventReasonApplicationsClocksSetting
    assert watched(CLEAN, **{REASONS: harmless}).suspicions() == [()]


def test_a_clock_below_the_median_is_suspect() -> None:
    clocks = [1_000, 1_000, 960, 940, 1_300]
    watch = watched(*((CLEAN[0], CLEAN[1] | {CLOCK: clock}) for clock in clocks))
    assert watch.metrics()["suspect"] == [0.0, 0.0, 0.0, 1.0, 0.0]
    assert watch.notes() == {"suspect": "clock more than 5% below its median (1 of 5 samples)"}


def test_what_is_not_watched_is_said() -> None:
    watch = watched(CLEAN, **{PROCESSES: [], CLOCK: error("NOT_SUPPORTED")})
    assert watch.metrics().keys() == {"suspect", "temperature_celsius"}
    notes = watch.notes()
    assert notes["sm_clock_hertz"] == "NVML: Not Supported"
    assert notes["suspect"].startswith("the clock not watched: NVML: Not Supported; other processes not watched: ")


def test_a_reading_that_fails_once_is_no_shorter_series() -> None:
    watch = watched(CLEAN, (CLEAN[0], CLEAN[1] | {CLOCK: error("TIMEOUT")}), CLEAN)
    assert "sm_clock_hertz" not in watch.metrics()
    assert watch.notes()["sm_clock_hertz"] == "NVML: Timeout"
    assert watch.metrics()["suspect"] == [0.0, 0.0, 0.0]


def test_no_samples_are_no_metrics() -> None:
    assert watched().metrics() == watched().notes() == {}


def test_nothing_known_is_not_a_clean_sample() -> None:
    unknown = error("NOT_SUPPORTED")
    watch = watched(CLEAN, **{PROCESSES: unknown, CLOCK: unknown, REASONS: unknown})
    assert "suspect" not in watch.metrics()
    assert "throttling not watched: NVML: Not Supported" in watch.notes()["suspect"]


def test_without_a_driver_there_is_one_reason() -> None:
    watch = watched(CLEAN, nvmlInit=error("DRIVER_NOT_LOADED"))
    assert watch.metrics() == {}
    names = ("suspect", "sm_clock_hertz", "temperature_celsius")
    assert watch.notes() == dict.fromkeys(names, "no NVIDIA driver: Driver Not Loaded")
