"""One GPU as NVIDIA's management library sees it: memory, processes, energy, clocks and heat."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import torch

from harness.meters.reading import Reading

T = TypeVar("T")

THROTTLES = {
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "thermal slowdown by the driver",
    "HwThermalSlowdown": "thermal slowdown by the hardware",
    "HwPowerBrakeSlowdown": "power brake",
}
"""What slows a GPU down while it works, by the library's name."""
SETTINGS = {
    "GpuIdle": "idle",
    "ApplicationsClocksSetting": "application clocks",
    "SyncBoost": "sync boost",
    "DisplayClockSetting": "display clock",
}
"""What else keeps its clock below the highest."""


class Nvml:
    """One device, found by its UUID: indices of CUDA and of the library differ.

    Where a GPU is split (MIG), memory and processes are those of the part, clocks and heat those of the whole.

    Args:
        uuid: The device's UUID, with or without its prefix.
        library: The module ``pynvml``, or what behaves like it.
    """

    def __init__(self, uuid: str, library: Any = None) -> None:
        self._nvml = library or import_module("pynvml")
        self._errors = (self._nvml.NVMLError, self._nvml.NVMLLibraryMismatchError)
        self._gpu, self._part = self._open(uuid.removeprefix("GPU-").removeprefix("MIG-"))
        self._is_split = self._gpu.value is not self._part.value

    @property
    def reason(self) -> str | None:
        """Why nothing at all can be read; ``None`` where something can."""
        return self._gpu.reason

    def device_used_bytes(self) -> Reading[int]:
        """Memory in use on the device, by anyone, without what the driver reserves for itself."""
        version = self._nvml.nvmlMemory_v2
        return self._read(self._part, lambda part: int(self._nvml.nvmlDeviceGetMemoryInfo(part, version).used))

    def process_bytes(self) -> Reading[int]:
        """Memory this process holds on the device, its CUDA context included."""
        listed = self._processes()
        if listed.value is None:
            return Reading(None, listed.reason)
        if os.getpid() not in listed.value:
            return Reading(None, _NOT_LISTED)
        used = listed.value[os.getpid()]
        return Reading(used, None if used is not None else "the driver does not say how much a process holds")

    def foreign_processes(self) -> Reading[int]:
        """Other processes that compute on the device."""
        listed = self._processes()
        if listed.value is not None and os.getpid() not in listed.value:
            return Reading(None, _NOT_LISTED)
        return listed.then(lambda processes: len(processes) - 1)

    def energy_joules(self) -> Reading[float]:
        """Energy the device has drawn since its driver was loaded."""
        if self._is_split:
            return Reading(None, "the energy counter is that of the whole GPU, and this is a part of it (MIG)")
        return self._read(self._gpu, lambda gpu: self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3)

    def sm_clock_hertz(self) -> Reading[float]:
        """Clock of the multiprocessors now."""
        clock = self._nvml.NVML_CLOCK_SM
        return self._read(self._gpu, lambda gpu: self._nvml.nvmlDeviceGetClockInfo(gpu, clock) * 1e6)

    def temperature_celsius(self) -> Reading[float]:
        """Temperature of the GPU now."""
        sensor = self._nvml.NVML_TEMPERATURE_GPU
        return self._read(self._gpu, lambda gpu: float(self._nvml.nvmlDeviceGetTemperature(gpu, sensor)))

    def throttle_reasons(self) -> Reading[frozenset[str]]:
        """What keeps the clock below the highest now: keys of :data:`THROTTLES` and :data:`SETTINGS`."""
        return self._read(self._gpu, self._clocks_event_reasons).then(
            lambda bits: frozenset(
                name for name in THROTTLES | SETTINGS if bits & getattr(self._nvml, f"nvmlClocksEventReason{name}")
            )
        )

    def _clocks_event_reasons(self, gpu: Any) -> int:
        try:
            return int(self._nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu))
        except self._nvml.NVMLError_FunctionNotFound:  # a driver from before the function was renamed
            return int(self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))

    def _processes(self) -> Reading[dict[int, int | None]]:
        """Bytes by process id."""
        listed = self._read(self._part, self._nvml.nvmlDeviceGetComputeRunningProcesses)
        return listed.then(lambda processes: {process.pid: process.usedGpuMemory for process in processes})

    def _open(self, uuid: str) -> tuple[Reading[Any], Reading[Any]]:
        """Handles of the whole GPU and of the part that is used: the same where it is not split."""
        try:
            self._nvml.nvmlInit()
        except self._errors as error:
            none = Reading[Any](None, f"no NVIDIA driver: {error}")
            return none, none
        gpu = self._read(Reading(f"GPU-{uuid}"), self._nvml.nvmlDeviceGetHandleByUUID)
        if gpu.value is not None:
            is_split = self._read(gpu, lambda gpu: self._nvml.nvmlDeviceGetMigMode(gpu)[0]).value
            return gpu, Reading(None, "the GPU is split (MIG) and CUDA does not say into what") if is_split else gpu
        part = self._read(Reading(f"MIG-{uuid}"), self._nvml.nvmlDeviceGetHandleByUUID)
        if part.value is not None:
            return self._read(part, self._nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle), part
        none = Reading[Any](None, f"NVML finds no device with the UUID {uuid}: {gpu.reason}")
        return none, none

    def _read(self, handle: Reading[Any], function: Callable[[Any], T]) -> Reading[T]:
        if handle.value is None:
            return Reading(None, handle.reason)
        try:
            return Reading(function(handle.value))
        except self._errors as error:
            return Reading(None, f"NVML: {error}")


_NOT_LISTED = "the driver lists no process of this id: this one may run in a container, or not use the device yet"


def open_nvml(device: torch.device) -> Nvml:
    """The CUDA device torch means. Initialises CUDA in this process."""
    return Nvml(str(torch.cuda.get_device_properties(device).uuid))
