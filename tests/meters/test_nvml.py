"""Every reading is a number or a reason, and never 0 for what is not known."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from harness.meters.nvml import SETTINGS, THROTTLES, Nvml
from harness.meters.reading import Reading
from tests.meters.fake_nvml import UUID, FakeNvml, error, process

READINGS: list[Callable[[Nvml], Reading[float]]] = [
    Nvml.device_used_bytes,
    Nvml.process_bytes,
    Nvml.foreign_processes,
    Nvml.energy_joules,
    Nvml.sm_clock_hertz,
    Nvml.temperature_celsius,
]


@pytest.mark.parametrize("uuid", [UUID, f"GPU-{UUID}"])
def test_readings_have_the_units_of_their_names(uuid: str) -> None:
    nvml = Nvml(uuid, FakeNvml())
    assert nvml.reason is None
    assert [read(nvml).value for read in READINGS] == [7_000, 3_000, 0, 12.5, 1.98e9, 41.0]
    assert [read(nvml).reason for read in READINGS] == [None] * len(READINGS)
    assert nvml.throttle_reasons() == Reading(frozenset())


def test_memory_is_asked_for_in_its_second_version() -> None:
    asked: list[tuple[str, int]] = []

    class Library(FakeNvml):
        def nvmlDeviceGetMemoryInfo(self, handle: str, version: int) -> SimpleNamespace:  # noqa: N802
            asked.append((handle, version))
            return SimpleNamespace(used=1)

    assert Nvml(UUID, Library()).device_used_bytes() == Reading(1)
    assert asked == [(f"GPU-{UUID}", pynvml.nvmlMemory_v2)]


def test_without_a_driver_there_is_one_reason_for_everything() -> None:
    nvml = Nvml(UUID, FakeNvml(nvmlInit=error("LIBRARY_NOT_FOUND")))
    reason = "no NVIDIA driver: NVML Shared Library Not Found"
    assert nvml.reason == reason
    assert [read(nvml) for read in READINGS] == [Reading(None, reason)] * len(READINGS)
    assert nvml.throttle_reasons() == Reading(None, reason)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver")
def test_the_real_library_without_a_driver() -> None:
    reason = Nvml(UUID).reason
    assert reason is not None
    assert reason.startswith("no NVIDIA driver: ")


def test_a_device_the_library_does_not_know() -> None:
    nvml = Nvml("00000000-0000", FakeNvml())
    assert nvml.energy_joules() == Reading(None, "NVML finds no device with the UUID 00000000-0000: NVML: Not Found")
    assert nvml.reason is not None


@pytest.mark.parametrize("read", READINGS)
def test_what_the_device_does_not_support_has_its_own_reason(read: Callable[[Nvml], Reading[float]]) -> None:
    library = FakeNvml()
    nvml = Nvml(UUID, library)
    for name in library.readings:
        library.readings[name] = error("NOT_SUPPORTED")
    assert read(nvml) == Reading(None, "NVML: Not Supported")


def test_an_old_driver_is_a_reason_too() -> None:
    mismatch = pynvml.NVMLLibraryMismatchError("old")
    nvml = Nvml(UUID, FakeNvml(nvmlDeviceGetComputeRunningProcesses=mismatch))
    assert nvml.process_bytes() == nvml.foreign_processes() == Reading(None, "NVML: old")


def test_processes_of_others_are_counted() -> None:
    listed = [process(os.getpid(), 10), process(1, 20), process(2, None)]
    nvml = Nvml(UUID, FakeNvml(nvmlDeviceGetComputeRunningProcesses=listed))
    assert nvml.foreign_processes() == Reading(2)
    assert nvml.process_bytes() == Reading(10)


def test_in_a_container_processes_are_not_known() -> None:
    for listed in ([], [process(1, 20)]):
        nvml = Nvml(UUID, FakeNvml(nvmlDeviceGetComputeRunningProcesses=listed))
        for reading in (nvml.process_bytes(), nvml.foreign_processes()):
            assert reading.value is None
            assert reading.reason is not None
            assert "container" in reading.reason


def test_a_driver_may_keep_the_bytes_of_a_process_to_itself() -> None:
    nvml = Nvml(UUID, FakeNvml(nvmlDeviceGetComputeRunningProcesses=[process(os.getpid(), None)]))
    assert nvml.process_bytes() == Reading(None, "the driver does not say how much a process holds")
    assert nvml.foreign_processes() == Reading(0)


def test_throttle_reasons_are_named() -> None:
    bits = pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonGpuIdle | 1 << 40
    nvml = Nvml(UUID, FakeNvml(nvmlDeviceGetCurrentClocksEventReasons=bits))
    assert nvml.throttle_reasons() == Reading(frozenset({"SwPowerCap", "GpuIdle"}))


def test_every_reason_of_the_library_has_its_words() -> None:
    prefix = "nvmlClocksEventReason"
    known = {name.removeprefix(prefix) for name in dir(pynvml) if name.startswith(prefix)}
    assert known - {"All", "None", "UserDefinedClocks"} == THROTTLES.keys() | SETTINGS.keys()


def test_an_old_driver_knows_the_reasons_by_another_name() -> None:
    library = FakeNvml(
        nvmlDeviceGetCurrentClocksEventReasons=error("FUNCTION_NOT_FOUND"),
        nvmlDeviceGetCurrentClocksThrottleReasons=pynvml.nvmlClocksThrottleReasonHwSlowdown,
    )
    assert Nvml(UUID, library).throttle_reasons() == Reading(frozenset({"HwSlowdown"}))


def test_part_of_a_gpu_has_its_own_memory_and_the_heat_of_the_whole() -> None:
    part = f"MIG-{UUID}"
    library = FakeNvml(
        nvmlDeviceGetMemoryInfo={part: SimpleNamespace(used=5)},
        nvmlDeviceGetComputeRunningProcesses={part: [process(os.getpid(), 4)]},
        nvmlDeviceGetTemperature={"whole": 60},
        nvmlDeviceGetClockInfo={"whole": 1_000},
    )
    library.known = {part}
    nvml = Nvml(UUID, library)
    readings = [read(nvml) for read in READINGS]
    assert [reading.value for reading in readings] == [5, 4, 0, None, 1e9, 60.0]
    assert readings[3].reason == "the energy counter is that of the whole GPU, and this is a part of it (MIG)"


def test_a_split_gpu_whose_part_is_not_known_gives_no_memory() -> None:
    nvml = Nvml(UUID, FakeNvml(nvmlDeviceGetMigMode=[1, 1]))
    for reading in (nvml.device_used_bytes(), nvml.process_bytes(), nvml.foreign_processes()):
        assert reading == Reading(None, "the GPU is split (MIG) and CUDA does not say into what")
    assert nvml.energy_joules().value is None
    assert nvml.temperature_celsius() == Reading(41.0)
