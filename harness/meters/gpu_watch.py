"""The GPU watched around timed samples, and the samples that are suspect marked."""

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.meters.nvml import THROTTLES, Nvml
from harness.meters.reading import Reading

CLOCK_DROP = 0.05
"""A sample whose clock is below the median by more than this share is suspect."""


@dataclass(frozen=True)
class GpuState:
    """What was read at one end of a sample."""

    sm_clock_hertz: Reading[float]
    temperature_celsius: Reading[float]
    throttle_reasons: Reading[frozenset[str]]
    foreign_processes: Reading[int]

    @classmethod
    def read(cls, nvml: Nvml) -> "GpuState":
        """The state now; the clock first, which falls as soon as the device is idle."""
        return cls(
            sm_clock_hertz=nvml.sm_clock_hertz(),
            temperature_celsius=nvml.temperature_celsius(),
            throttle_reasons=nvml.throttle_reasons(),
            foreign_processes=nvml.foreign_processes(),
        )


@dataclass(frozen=True)
class Sample:
    """The GPU at both ends of a sample."""

    start: GpuState
    end: GpuState

    def throttle_reasons(self) -> frozenset[str]:
        """What kept the clock below the highest at either end, as far as that is known."""
        return (self.start.throttle_reasons.value or frozenset()) | (self.end.throttle_reasons.value or frozenset())

    def is_shared(self) -> bool:
        """Whether another process was seen at either end."""
        return bool(self.start.foreign_processes.value or self.end.foreign_processes.value)


class Watch:
    """Reads the GPU before and after each sample, never during one.

    Args:
        nvml: The device.
    """

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._start: GpuState | None = None
        self._samples: list[Sample] = []

    def before(self) -> None:
        """A sample is about to begin."""
        self._start = GpuState.read(self._nvml)

    def after(self) -> None:
        """The sample that began last has ended, the device synchronised."""
        assert self._start is not None
        self._samples.append(Sample(self._start, GpuState.read(self._nvml)))

    def suspicions(self) -> list[tuple[str, ...]]:
        """For each sample, in words, what makes it suspect; nothing where it is not, or where that is not known."""
        clocks = [sample.end.sm_clock_hertz.value for sample in self._samples]
        usual = median([clock for clock in clocks if clock is not None] or [0.0])
        return [
            (
                *(THROTTLES[name] for name in THROTTLES if name in sample.throttle_reasons()),
                *([_CLOCK_DROPPED] if clock is not None and clock < (1 - CLOCK_DROP) * usual else []),
                *(["other processes on the device"] if sample.is_shared() else []),
            )
            for sample, clock in zip(self._samples, clocks, strict=True)
        ]

    def metrics(self) -> dict[str, list[float]]:
        """``suspect``, ``sm_clock_hertz`` and ``temperature_celsius`` by sample.

        Without what the driver does not give: :meth:`notes` say why.
        """
        metrics: dict[str, list[float]] = {}
        signs = self._signs()
        if len(_missing(signs)) < len(signs):
            metrics["suspect"] = [float(bool(reasons)) for reasons in self.suspicions()]
        for name, readings in self._readings().items():
            values = [reading.value for reading in readings if reading.value is not None]
            if len(values) == len(readings):
                metrics[name] = values
        return {name: samples for name, samples in metrics.items() if samples}

    def notes(self) -> dict[str, str]:
        """By metric: why there is none, or what makes how many samples suspect and what could not be watched."""
        if self._nvml.reason is not None:
            return dict.fromkeys(("suspect", *self._readings()), self._nvml.reason)
        seen = Counter(reason for reasons in self.suspicions() for reason in reasons)
        doubts = [f"{reason} ({count} of {len(self._samples)} samples)" for reason, count in seen.items()]
        doubts += [f"{what} not watched: {why}" for what, why in _missing(self._signs()).items()]
        return ({"suspect": "; ".join(doubts)} if doubts else {}) | _missing(self._readings())

    def _readings(self) -> dict[str, list[Reading[float]]]:
        return {
            "sm_clock_hertz": [sample.end.sm_clock_hertz for sample in self._samples],
            "temperature_celsius": [sample.end.temperature_celsius for sample in self._samples],
        }

    def _signs(self) -> dict[str, list[Reading[Any]]]:
        """What makes samples suspect, as read at the end of each."""
        ends = [sample.end for sample in self._samples]
        return {
            "throttling": [end.throttle_reasons for end in ends],
            "the clock": [end.sm_clock_hertz for end in ends],
            "other processes": [end.foreign_processes for end in ends],
        }


_CLOCK_DROPPED = f"clock more than {CLOCK_DROP:.0%} below its median"


def _missing(readings: dict[str, list[Reading[Any]]]) -> dict[str, str]:
    """Why some of the readings of a name have no value, where some have none."""
    reasons = {name: [reading.reason for reading in each if reading.reason] for name, each in readings.items()}
    return {name: each[0] for name, each in reasons.items() if each}
