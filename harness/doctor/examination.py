"""One machine and device examined, in worker processes."""

from harness.doctor.cells import forecast_peak, repeated
from harness.doctor.finding import Examination
from harness.executors import LocalExecutor

CHECK_SECONDS = 300.0
"""Longest the checks of single meters may take: on a quiet machine some 15 s."""


def examine(device: str, runs: int) -> Examination:
    """Hold every meter against a planted truth, and see which quantities can be measured here at all.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:I``.
        runs: In how many processes equal codes and a slower one are timed, for the rules of ``compare``.

    Raises:
        BadInput: No such device.
    """
    from harness.doctor.trials import PLUGINS, rules_of_compare  # pandas comes with it, and workers import this room

    executor = LocalExecutor()
    machine = executor.ask("harness.machine:describe", device, 1)
    found = executor.ask("harness.doctor.bench:check_meters", machine.device, limit_seconds=CHECK_SECONDS)
    found += repeated(machine.device, executor.measure)
    found += forecast_peak(
        machine.device, executor.measure, lambda cells: executor.ask("harness.forecast:forecast", cells)
    )
    found += rules_of_compare(machine.device, runs, LocalExecutor(PLUGINS).measure)
    return Examination(
        device=machine.device,
        device_name=machine.device_name,
        quantities=tuple(executor.ask("harness.doctor.survey:survey", machine.device)),
        findings=tuple(found),
    )
