"""Energy of a call, by a counter that moves about ten times a second: many calls in a window of seconds.

::

    calls    |··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|··|·
    counter  .   ^     ^     ^     ^     ^     ^     ^     ^     ^     ^     ^     ^
              warm-up        |      a window, at least 2 s       |   the next one …

A window begins and ends as the counter moves, and calls follow each other without a pause: no energy is lost between
two moves, and none is counted that another window has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter

from harness.meters.clock import collection_off
from harness.meters.reading import Reading

WARMUP_SECONDS = 1.0
WINDOW_SECONDS = 2.0
AGREEING = 3
"""Windows in a row that must agree."""
AGREEMENT = 0.05
"""Difference of the most and the least of them, as a share of their mean, up to which they do."""
MOST_WINDOWS = 8
READ_SECONDS = 0.01
"""Between two readings of the counter, at least: a reading keeps the device waiting."""
STILL_SECONDS = 2.0
"""After which a counter that does not move is given up."""


def call_energy(
    call: Callable[[], object],
    counter: Callable[[], Reading[float]],
    synchronize: Callable[[], object],
    *,
    call_seconds: float,
    max_seconds: float,
    now: Callable[[], float] = perf_counter,
) -> Reading[float]:
    """Joules of one call: the mean of the first :data:`AGREEING` windows in a row that agree.

    What the device draws while it waits for the host is part of it.

    Args:
        call: Has been warmed up.
        counter: Joules drawn by the device since some moment.
        synchronize: Waits for the device.
        call_seconds: What one call takes.
        max_seconds: No window begins that would end later than this.
        now: The clock, seconds.
    """
    window_seconds, deadline = max(WINDOW_SECONDS, call_seconds), now() + max_seconds
    if max(WARMUP_SECONDS, call_seconds) + AGREEING * window_seconds > max_seconds:
        return Reading(
            None, f"{AGREEING} windows of {window_seconds:.3g} s do not fit into the time limit that is left"
        )
    calls, energies = _Calls(call, counter, synchronize, now), list[float]()
    with collection_off():
        start = calls.until_it_moves(WARMUP_SECONDS)
        while start.value is not None and len(energies) < MOST_WINDOWS and now() + window_seconds <= deadline:
            end = calls.until_it_moves(WINDOW_SECONDS)
            if end.value is None:
                return Reading(None, end.reason)
            energies.append((end.value.joules - start.value.joules) / (end.value.calls - start.value.calls))
            start, latest = end, energies[-AGREEING:]
            if len(latest) == AGREEING and _spread(latest) <= AGREEMENT:
                return Reading(fmean(latest))
    if start.value is None:
        return Reading(None, start.reason)
    if len(energies) < AGREEING:
        return Reading(None, f"only {len(energies)} of {AGREEING} windows fitted into the time limit that was left")
    return Reading(
        None,
        f"{len(energies)} windows of {window_seconds:.3g} s did not agree: the last {AGREEING} differ by "
        f"{_spread(energies[-AGREEING:]):.0%}, {AGREEMENT:.0%} allowed",
    )


def _spread(energies: list[float]) -> float:
    return (max(energies) - min(energies)) / fmean(energies)


@dataclass(frozen=True)
class _Mark:
    """What the counter said as it moved, and how many calls had been made."""

    joules: float
    calls: int


class _Calls:
    """Calls one after another, and the counter read between them."""

    def __init__(
        self,
        call: Callable[[], object],
        counter: Callable[[], Reading[float]],
        synchronize: Callable[[], object],
        now: Callable[[], float],
    ) -> None:
        self._call, self._counter, self._synchronize, self._now = call, counter, synchronize, now
        self._count, self._seen = 0, counter()

    def until_it_moves(self, seconds: float) -> Reading[_Mark]:
        """Make calls for at least so long, and go on until the counter moves."""
        began = read = moved = self._now()
        while (seen := self._seen).value is not None:
            self._call()
            self._synchronize()
            self._count += 1
            if self._now() - read < READ_SECONDS:
                continue
            self._seen, read = self._counter(), self._now()
            if self._seen.value is None:
                break
            if self._seen.value < seen.value:
                return Reading(None, f"the energy counter went back from {seen.value:g} J to {self._seen.value:g} J")
            if self._seen.value > seen.value:
                moved = read
                if read - began >= seconds:
                    return Reading(_Mark(self._seen.value, self._count))
            elif read - moved > STILL_SECONDS:
                return Reading(None, f"the energy counter did not move for {read - moved:.3g} s")
        return Reading(None, self._seen.reason)
