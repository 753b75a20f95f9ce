"""The allocator's counters and NVIDIA's management library on a real device: ``make test-gpu``."""

import time

import pytest
import torch

from harness.machine import describe, provenance
from harness.meters.allocator import allocator_memory
from harness.meters.energy import call_energy
from harness.meters.gpu_watch import Watch
from harness.meters.nvml import Nvml, open_nvml

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]
MIB = 2**20


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda", 0)


@pytest.fixture
def nvml(device: torch.device) -> Nvml:
    torch.ones(1, device=device)
    found = open_nvml(device)
    assert found.reason is None
    return found


def burn(device: torch.device, seconds: float = 0.5) -> None:
    """Matrix products for at least so long."""
    matrix = torch.ones(4096, 4096, device=device)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        _ = matrix @ matrix
        torch.cuda.synchronize(device)


def test_known_allocations_are_counted_in_every_way(device: torch.device) -> None:
    def call() -> None:
        kept = torch.empty(64 * MIB + 1, dtype=torch.uint8, device=device)
        torch.empty(16 * MIB, dtype=torch.uint8, device=device)
        del kept

    memory = allocator_memory(call, device)
    assert memory.first.requested_bytes == 80 * MIB + 1
    assert memory.first.peak_bytes == 80 * MIB + 512
    assert memory.first.reserved_bytes is not None
    assert 80 * MIB < memory.first.reserved_bytes <= 128 * MIB
    assert memory.first.alloc_retries == 0
    assert memory.retained_bytes == memory.collected_bytes == (0, 0)


def test_a_leak_is_told_apart_from_a_cache(device: torch.device) -> None:
    held: list[torch.Tensor] = []
    cache: list[torch.Tensor] = []

    def leaks() -> None:
        held.append(torch.empty(MIB, dtype=torch.uint8, device=device))

    def caches() -> None:
        cache[:] = cache or [torch.empty(MIB, dtype=torch.uint8, device=device)]

    leaking, caching = allocator_memory(leaks, device), allocator_memory(caches, device)
    assert (leaking.retained_bytes, leaking.leak_bytes_per_call) == ((MIB, 2 * MIB), MIB)
    assert (caching.retained_bytes, caching.leak_bytes_per_call) == ((MIB, MIB), 0)


def test_the_device_is_the_one_torch_means(device: torch.device, nvml: Nvml) -> None:
    uuid = describe("cuda:0", None).device_uuid
    assert uuid is not None
    assert Nvml(uuid).reason is None
    free, total = torch.cuda.mem_get_info(device)
    used = nvml.device_used_bytes()
    assert used.value is not None, used.reason
    assert 0 < used.value <= total - free + 1024 * MIB


def test_what_is_reserved_shows_on_the_device(device: torch.device, nvml: Nvml) -> None:
    torch.cuda.empty_cache()
    before, own_before = nvml.device_used_bytes().value, nvml.process_bytes()
    held = torch.empty(512 * MIB, dtype=torch.uint8, device=device)
    after, own_after = nvml.device_used_bytes().value, nvml.process_bytes()
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(held.numel(), rel=0.05)
    if own_before.value is None or own_after.value is None:
        assert own_before.reason
    else:
        assert own_after.value - own_before.value == pytest.approx(held.numel(), rel=0.05)


def test_readings_are_plausible_under_load(device: torch.device, nvml: Nvml) -> None:
    burn(device)
    clock, heat = nvml.sm_clock_hertz(), nvml.temperature_celsius()
    assert clock.value is None or 1e8 < clock.value < 5e9
    assert heat.value is None or 10 < heat.value < 110
    assert nvml.throttle_reasons().value is not None or nvml.throttle_reasons().reason


def test_energy_is_in_joules(device: torch.device, nvml: Nvml) -> None:
    start = nvml.energy_joules()
    if start.value is None:
        pytest.skip(f"no energy counter: {start.reason}")
    began = time.perf_counter()
    burn(device, seconds=2.0)
    end = nvml.energy_joules().value
    assert end is not None
    assert 10 < (end - start.value) / (time.perf_counter() - began) < 2_000  # watts


def test_the_energy_of_a_call_is_its_power_times_its_length(device: torch.device, nvml: Nvml) -> None:
    found = call_energy(
        lambda: burn(device, seconds=0.2),
        nvml.energy_joules,
        lambda: torch.cuda.synchronize(device),
        call_seconds=0.2,
        max_seconds=60.0,
    )
    assert found.value is not None or found.reason
    assert found.value is None or 10 < found.value / 0.2 < 2_000  # watts


def test_samples_are_watched(device: torch.device, nvml: Nvml) -> None:
    watch = Watch(nvml)
    for _ in range(5):
        watch.before()
        burn(device, seconds=0.2)
        watch.after()
    metrics, notes = watch.metrics(), watch.notes()
    assert len(watch.suspicions()) == 5
    for name in ("suspect", "sm_clock_hertz", "temperature_celsius"):
        assert name in metrics or notes[name]


def test_versions_of_cuda_are_recorded() -> None:
    software = provenance("cuda:0", torch.get_num_threads()).software
    assert software["cuda"] == torch.version.cuda
    assert software["cudnn"] == str(torch.backends.cudnn.version())
