"""A stand-in for the module pynvml: the names, constants and errors of the real one, and a device made up."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

UUID = "11111111-2222-3333-4444-555555555555"


class FakeNvml:
    """One device, each of whose readings a test may set to a value or to an error."""

    def __init__(self, **readings: Any) -> None:
        self.readings: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlDeviceGetMigMode": [0, 0],
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=7_000, reserved=500, total=80_000, free=72_500),
            "nvmlDeviceGetComputeRunningProcesses": [process(os.getpid(), 3_000)],
            "nvmlDeviceGetTotalEnergyConsumption": 12_500,
            "nvmlDeviceGetClockInfo": 1_980,
            "nvmlDeviceGetTemperature": 41,
            "nvmlDeviceGetCurrentClocksEventReasons": 0,
        } | readings
        self.known = {f"GPU-{UUID}"}

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid not in self.known:
            raise error("NOT_FOUND")
        return uuid

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, part: str) -> str:  # noqa: N802
        return "whole"

    def __getattr__(self, name: str) -> Any:
        real = getattr(pynvml, name)
        if name not in self.readings:
            return real
        assert callable(real)
        return lambda *arguments: self._answer(name, arguments)

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> Any:
        answer = self.readings[name]
        if isinstance(answer, dict):  # by handle
            answer = answer[arguments[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Gpu(FakeNvml):
    """A device on a clock of its own, which draws more at work, and whose counter tells so once in a while."""

    call_seconds: float = 0.005
    watts: Callable[[float], float] = lambda seconds: 300.0
    idle_watts: float = 70.0
    tick: float = 0.1
    read_seconds: float = 0.0002
    tell: Callable[[float], Any] = field(default=lambda joules: round(joules * 1e3))
    seconds: float = 0.0
    joules: float = 1e6
    told: float = 1e6

    def __post_init__(self) -> None:
        super().__init__()
        self.ticks = 0
        self.calls = 0

    def spend(self, seconds: float, watts: float) -> None:
        end = self.seconds + seconds
        while (self.ticks + 1) * self.tick <= end:
            self.ticks += 1
            self.joules += (self.ticks * self.tick - self.seconds) * watts
            self.seconds, self.told = self.ticks * self.tick, self.joules
        self.joules += (end - self.seconds) * watts
        self.seconds = end

    def call(self) -> None:
        self.calls += 1
        self.spend(self.call_seconds, self.watts(self.seconds))

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: str) -> int:  # noqa: N802
        self.spend(self.read_seconds, self.idle_watts)
        answer = self.tell(self.told)
        if isinstance(answer, Exception):
            raise answer
        return answer


def process(pid: int, used: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


def error(name: str) -> Exception:
    return pynvml.NVMLError(getattr(pynvml, f"NVML_ERROR_{name}"))
