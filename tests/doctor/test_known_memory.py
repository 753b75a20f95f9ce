"""Checks of memory: they pass with the real meters and fail with meters that are off."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.doctor import resident
from harness.doctor.allocations import LEAK_BYTES, known_allocations, planted_leaks
from harness.doctor.finding import Finding
from harness.doctor.resident import PLANTED_BYTES, known_resident_memory
from harness.executors.watch import watch_rss
from harness.meters.allocator import AllocatorMemory, AllocatorPeak, allocator_memory, allocator_peak

CPU = torch.device("cpu")
Call = Callable[[], object]


def verdicts(findings: list[Finding]) -> list[str]:
    return [finding.verdict for finding in findings]


def test_known_allocations_are_read_back_to_the_byte() -> None:
    findings = known_allocations(CPU)
    assert verdicts(findings) == ["pass"] * 4
    assert {finding.measured for finding in findings} >= {"67,108,865 B", "1,200,010 B", "1,100,029 B"}


def test_a_byte_too_many_fails() -> None:
    def meter(call: Call, device: torch.device) -> AllocatorPeak:
        peak = allocator_peak(call, device)
        return replace(peak, peak_bytes=peak.peak_bytes + 1)

    findings = known_allocations(CPU, meter)
    assert verdicts(findings) == ["fail"] * 4
    assert findings[0].remark == "off by +1 B"


@pytest.mark.parametrize("wrong", ["never freed", "only what is left", "only the largest"])
def test_a_peak_that_is_none_fails(wrong: str) -> None:
    def meter(call: Call, device: torch.device) -> AllocatorPeak:
        sizes: list[int] = []
        with _Allocations(sizes):
            call()
        peak = {"never freed": sum(sizes), "only the largest": max(sizes), "only what is left": sizes[-1]}[wrong]
        return AllocatorPeak(peak_bytes=peak, left_bytes=0)

    assert "fail" in verdicts(known_allocations(CPU, meter))


class _Allocations(TorchDispatchMode):
    """Notes the size of each new tensor."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.sizes = sizes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.sizes.append(result.numel())
        return result


def test_what_looks_like_a_leak_is_told_from_one() -> None:
    findings = planted_leaks(CPU)
    assert verdicts(findings) == ["pass"] * 4
    assert [finding.measured for finding in findings] == [f"{LEAK_BYTES:,} B", "0 B", "0 B", "0 B"]


@pytest.mark.parametrize(
    ("retained", "expected"),
    [
        (lambda memory: (0, 0, 0), ["fail", "pass", "pass", "pass"]),
        (lambda memory: (0, memory.first.peak_bytes), ["pass", "fail", "fail", "fail"]),
        (lambda memory: (*memory.retained_bytes[:-1], memory.retained_bytes[-1] + 1), ["fail"] * 4),
    ],
    ids=["misses leaks", "takes the peak for a leak", "is off by a byte"],
)
def test_a_faulty_leak_meter_fails(retained: Callable[[AllocatorMemory], tuple[int, ...]], expected: list[str]) -> None:
    def meter(call: Call, device: torch.device, repeats: int) -> AllocatorMemory:
        memory = allocator_memory(call, device, repeats)
        return replace(memory, retained_bytes=retained(memory))

    assert verdicts(planted_leaks(CPU, meter)) == expected


def test_a_known_residence_is_seen_from_inside_and_outside() -> None:
    assert verdicts(known_resident_memory()) == ["pass", "pass"]


@pytest.mark.parametrize("factor", [0.97, 1.03, 0.5])
def test_three_per_cent_of_resident_memory_fail(factor: float) -> None:
    findings = known_resident_memory(
        inside=lambda call: round(PLANTED_BYTES * factor),
        outside=lambda pid, ready: [10**6, 10**6 + round(PLANTED_BYTES * factor)],
    )
    assert verdicts(findings) == ["fail", "fail"]


def test_a_watcher_that_looks_too_late_or_at_the_wrong_process_fails() -> None:
    late = known_resident_memory(outside=lambda pid, ready: watch_rss(pid, ready)[-1:])
    wrong = known_resident_memory(outside=lambda pid, ready: watch_rss(os.getpid(), ready))
    assert late[1].verdict == wrong[1].verdict == "fail"


def test_what_the_system_forbids_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "peak_is_reset", lambda: False)
    findings = known_resident_memory(inside=lambda call: 0, outside=lambda pid, ready: [])
    assert verdicts(findings) == ["unavailable", "unavailable"]
    assert findings[0].remark == "the system does not let the peak be reset, and an earlier one was higher"
    assert findings[1].remark == "the memory of another process cannot be read here"
    assert verdicts(known_resident_memory(inside=lambda call: PLANTED_BYTES)) == ["pass", "pass"]
