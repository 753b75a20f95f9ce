"""Wall time of a call, repeated."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import torch

MAX_SAMPLES = 1000


@dataclass
class Samples:
    """Every timed repetition, in order."""

    wall_seconds: list[float] = field(default_factory=list)
    """Host clock from a synchronised device to a synchronised device."""
    cuda_seconds: list[float] = field(default_factory=list)
    """Between two events recorded on the stream; empty without CUDA."""


def time_samples(call: Callable[[], object], device: torch.device, *, min_samples: int, min_seconds: float) -> Samples:
    """Time ``call`` at least ``min_samples`` times and until the samples add up to ``min_seconds``.

    The caller has warmed ``call`` up. Garbage collection is off meanwhile; what a call returns is dropped before the
    next begins.
    """
    samples = Samples()
    gc.collect()
    gc.disable()
    try:
        while len(samples.wall_seconds) < min_samples or (
            sum(samples.wall_seconds) < min_seconds and len(samples.wall_seconds) < MAX_SAMPLES
        ):
            if device.type == "cuda":
                _sample_cuda(call, device, samples)
            else:
                start = perf_counter()
                call()
                samples.wall_seconds.append(perf_counter() - start)
    finally:
        gc.enable()
    return samples


def _sample_cuda(call: Callable[[], object], device: torch.device, samples: Samples) -> None:
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize(device)
    start = perf_counter()
    first.record()
    call()
    last.record()
    torch.cuda.synchronize(device)
    samples.wall_seconds.append(perf_counter() - start)
    samples.cuda_seconds.append(first.elapsed_time(last) / 1e3)
