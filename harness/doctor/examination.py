"""One machine and device examined, in worker processes."""

from harness.doctor.cells import forecast_peak, repeated
from harness.doctor.finding import Examination
from harness.executors import LocalExecutor

CHECK_SECONDS, TRIAL_SECONDS = 300.0, 30.0
"""Longest the checks of single meters may take, and more for each trial: on a quiet machine some 15 s and 0.2 s."""


def examine(device: str, runs: int) -> Examination:
    """Hold every meter against a planted truth, and see which quantities can be measured here at all.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:I``.
        runs: Trials of identical codes, and of a planted slowdown: more of them say more of the errors' rates.

    Raises:
        BadInput: No such device.
    """
    executor = LocalExecutor()
    machine = executor.ask("harness.machine:describe", device, 1)
    limit_seconds = CHECK_SECONDS + runs * TRIAL_SECONDS
    found = executor.ask("harness.doctor.bench:check_meters", machine.device, runs, limit_seconds=limit_seconds)
    found += repeated(machine.device, executor.measure)
    found += forecast_peak(
        machine.device, executor.measure, lambda cells: executor.ask("harness.forecast:forecast", cells)
    )
    return Examination(
        device=machine.device,
        device_name=machine.device_name,
        quantities=tuple(executor.ask("harness.doctor.survey:survey", machine.device)),
        findings=tuple(found),
    )
