"""Which of the quantities the harness reports this machine gives."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from time import perf_counter
from typing import Any

import torch

from harness.cell import METRICS
from harness.doctor.finding import Quantity
from harness.doctor.resident import peak_is_reset
from harness.meters.conditions import cpu_times, governor, load_average
from harness.meters.nvml import Nvml, open_nvml
from harness.meters.reading import Reading
from harness.units import quantity

_NO_CUDA = "the device is a CPU"
_PHASES = ("step_size", "inner", "query", "backward", "linear", "step")
_DIAGNOSTICS = (
    *("query_loss", "inner_residual", "linear_residual", "negative_curvature", "smallest_curvature"),
    *(name for name in METRICS if name.startswith(("backprop_", "implicit_", "rounding_"))),
)


def survey(device: str) -> list[Quantity]:
    """Every quantity, in the order of the table. Initialises CUDA where such a device is meant."""
    where = torch.device(device)
    return [*_times(where), *_memory(where), *_work(), *_driver(where), *_conditions()]


def clock_step_seconds(now: Callable[[], float] = perf_counter, reads: int = 10_000) -> float:
    """Smallest step that the clock was seen to make."""
    times = [now() for _ in range(reads)]
    return min(later - earlier for earlier, later in pairwise(times) if later > earlier)


def _times(device: torch.device) -> list[Quantity]:
    is_cuda = device.type == "cuda"
    step = f"the clock steps by {quantity(clock_step_seconds(), 's')}"
    return [
        Quantity(
            "time by the host's clock",
            ("wall_seconds", "process_seconds", "warmup_seconds", "overhead_seconds"),
            None,
            step,
        ),
        Quantity(
            "time of each phase",
            tuple(f"{name}_seconds" for name in _PHASES),
            None,
            "between CUDA events" if is_cuda else step,
        ),
        Quantity(
            "time by CUDA events",
            ("cuda_seconds", "cuda_cold_seconds"),
            None if is_cuda else _NO_CUDA,
            "events step by about 0.5 µs" if is_cuda else None,
        ),
    ]


def _memory(device: torch.device) -> list[Quantity]:
    is_cuda = device.type == "cuda"
    step = "to the block of 512 B" if is_cuda else "to the byte"
    backend = torch.cuda.get_allocator_backend() if is_cuda else None
    uncounted = {"native": None, None: "a CPU's allocator keeps no such counts"}
    inside = "the kernel's high-water mark" if peak_is_reset() else "a lower bound: its peak cannot be reset"
    return [
        Quantity("allocator's peak", ("peak_bytes",), None, step),
        Quantity("memory kept after calls (leaks)", ("retained_bytes",), None, step),
        Quantity("forecast of the peak", ("forecast_peak_bytes",), None, "by tensors without data"),
        Quantity(
            "allocator's baseline, reservation",
            ("baseline_bytes", "reserved_bytes"),
            None if is_cuda else uncounted[None],
        ),
        Quantity(
            "allocator's requests, retries",
            ("requested_bytes", "alloc_retries"),
            uncounted.get(backend, f"the allocator {backend} counts neither"),
        ),
        Quantity("resident memory, from inside", ("rss_peak_bytes",), None, inside),
        Quantity("resident memory, from outside", ("rss_watched_bytes",), None, "memory-profiler, every 10 ms"),
    ]


def _work() -> list[Quantity]:
    return [
        Quantity("FLOPs", ("flops",), None, "products and convolutions"),
        Quantity(
            "gradients and Hessian products", ("gradient_count", "hvp_count", "step_size_hvp_count"), None, "exactly"
        ),
        Quantity("accuracy and diagnostics", _DIAGNOSTICS, None, "in float64"),
    ]


def _driver(device: torch.device) -> Iterable[Quantity]:
    """What NVIDIA's driver is asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # the driver knows of a process once it has a context
    nvml = open_nvml(device) if device.type == "cuda" else None

    def row(name: str, metric: str, read: Callable[[Nvml], Reading[Any]], unit: str = "") -> Quantity:
        if nvml is None:
            return Quantity(name, (metric,), _NO_CUDA)
        reading = read(nvml)
        if reading.value is None:
            return Quantity(name, (metric,), reading.reason)
        return Quantity(name, (metric,), None, f"now {quantity(reading.value, unit)}" if unit else None)

    return [
        row("device memory, by the driver", "device_bytes", Nvml.device_used_bytes, "B"),
        row("this process's device memory", "process_bytes", Nvml.process_bytes, "B"),
        row("energy", "energy_joules", Nvml.energy_joules),
        row("clock of the GPU", "sm_clock_hertz", Nvml.sm_clock_hertz, "Hz"),
        row("temperature of the GPU", "temperature_celsius", Nvml.temperature_celsius, "°C"),
        row("throttling and other processes", "suspect", _suspicion),
    ]


def _suspicion(nvml: Nvml) -> Reading[Any]:
    """Either of the two is enough for samples to be marked."""
    throttling = nvml.throttle_reasons()
    return throttling if throttling.value is not None else nvml.foreign_processes()


def _conditions() -> list[Quantity]:
    start = cpu_times()
    end = perf_counter() + 0.1
    while perf_counter() < end:  # busy: the kernel's ticks have to move
        pass
    shares, load, policy = start.until(cpu_times()), load_average(), governor()
    return [
        _quantity("load average", "load_average", load.then(lambda value: f"now {value:.2f}")),
        _quantity("time stolen by the hypervisor", "steal_share", shares.steal.then(lambda share: f"now {share:.0%}")),
        _quantity("time taken by other processes", "foreign_share", shares.foreign.then(lambda x: f"now {x:.0%}")),
        _quantity("frequency governor", None, policy),
    ]


def _quantity(name: str, metric: str | None, reading: Reading[str]) -> Quantity:
    return Quantity(name, (metric,) if metric else (), reading.reason, reading.value)
