"""The checks of single meters, for a worker process."""

from collections.abc import Callable

import torch

from harness.doctor.allocations import known_allocations, planted_leaks
from harness.doctor.delays import known_delay, known_device_delay, known_phases
from harness.doctor.energy import known_energy
from harness.doctor.finding import Finding
from harness.doctor.operations import known_flops
from harness.doctor.resident import known_resident_memory
from harness.errors import first_line


def check_meters(device: str) -> list[Finding]:
    """All checks that take one process; resident memory first, before others have raised its peak.

    Args:
        device: ``cpu`` or ``cuda:I``.
    """
    torch.set_num_threads(1)
    where = torch.device(device)
    checks: dict[str, Callable[[], list[Finding]]] = {
        "resident memory": known_resident_memory,
        "known allocations": lambda: known_allocations(where),
        "planted leaks": lambda: planted_leaks(where),
        "known FLOPs": lambda: known_flops(where),
        "a known delay": known_delay,
        "known phases": known_phases,
        "a known delay of the device": lambda: known_device_delay(where),
        "known energy": lambda: known_energy(where),
    }
    return [finding for name, check in checks.items() for finding in attempted(name, check)]


def attempted(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """What a check finds; a meter that raises has failed."""
    try:
        return check()
    except Exception as error:
        return [Finding(name, "a reading", None, "fail", f"{type(error).__name__}: {first_line(error)}")]
