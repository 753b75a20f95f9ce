"""Allocations of known sizes, and planted leaks."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeAlias

import torch
from torch import Tensor

from harness.doctor.finding import Finding
from harness.meters.allocator import BLOCK_BYTES, AllocatorMemory, AllocatorPeak, allocator_memory, allocator_peak

Call: TypeAlias = Callable[[], object]

SCRIPTS = {
    "a tensor of 64 MiB + 1 B": [(1 << 26) + 1],
    "tensors nested": [700_001, 300_003, 90_007, -90_007, -300_003, 500_009, -500_009, -700_001],
    "tensors freed in between": [700_001, 300_003, -700_001, 500_009, 200_017, -300_003, 400_003],
    "many small tensors": [*range(1, 200), *range(-1, -200, -1), *range(1, 100)],
}
"""Bytes allocated in this order; a negative number frees a tensor of that many.

Below 1 MiB each, or far above: CUDA's allocator then hands out blocks of 512 B without a remainder it cannot use.
"""
LEAK_BYTES = 512 * 1001


def known_allocations(
    device: torch.device, meter: Callable[[Call, torch.device], AllocatorPeak] = allocator_peak
) -> list[Finding]:
    """The peak of each of :data:`SCRIPTS`, over a baseline in place, to the byte (on CUDA: to the block)."""
    block = BLOCK_BYTES.get(device.type, 1)
    baseline = _bytes(123_457, device)
    findings: list[Finding] = []
    for name, script in SCRIPTS.items():
        truth = max(accumulate(size // block * block if size < 0 else -(-size // block) * block for size in script))
        measured = meter(lambda script=script: _perform(script, device), device)
        findings.append(Finding.exact(f"peak: {name}", truth, measured.peak_bytes, "B"))
    del baseline
    return findings


def planted_leaks(
    device: torch.device, meter: Callable[[Call, torch.device, int], AllocatorMemory] = allocator_memory
) -> list[Finding]:
    """Growth from call to call: of a leak, and of what looks like one and is none."""
    return [
        Finding.exact(name, expected, meter(call(device), device, 3).leak_bytes_per_call, "B")
        for name, (call, expected) in {
            "leak: a tensor kept a call": (_leaking, LEAK_BYTES),
            "leak: a cache filled once": (_caching, 0),
            "leak: memory that grows with K": (_growing, 0),
            "leak: a reference cycle": (_cyclic, 0),
        }.items()
    ]


def _bytes(size: int, device: torch.device) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, device=device)


def _perform(script: Sequence[int], device: torch.device) -> None:
    held: dict[int, list[Tensor]] = {}
    for size in script:
        if size > 0:
            held.setdefault(size, []).append(_bytes(size, device))
        else:
            held[-size].pop()


def _leaking(device: torch.device) -> Call:
    kept: list[Tensor] = []
    return lambda: kept.append(_bytes(LEAK_BYTES, device))


def _caching(device: torch.device) -> Call:
    kept: list[Tensor] = []

    def call() -> None:
        if not kept:
            kept.append(_bytes(LEAK_BYTES, device))

    return call


def _growing(device: torch.device) -> Call:
    return lambda: [_bytes(LEAK_BYTES, device) for _ in range(16)]


def _cyclic(device: torch.device) -> Call:
    def call() -> None:
        cycle: list[object] = [_bytes(LEAK_BYTES, device)]
        cycle.append(cycle)

    return call
