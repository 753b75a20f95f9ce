"""What an examination comes to."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["pass", "fail", "unavailable"]


@dataclass(frozen=True)
class Finding:
    """A meter's reading beside the truth planted for it."""

    name: str
    """What was planted."""
    expected: str
    measured: str | None
    """``None`` where nothing could be measured."""
    verdict: Verdict
    """``unavailable`` where this machine cannot tell: no fault of the meter, and no failure."""
    remark: str | None = None
    """What is to be known besides; where the verdict is ``unavailable``, why."""

    @classmethod
    def exact(cls, name: str, expected: int, measured: int, unit: str) -> "Finding":
        """A whole number that has to be read back as it is."""
        off = measured - expected
        return cls(
            name,
            f"{expected:,} {unit}",
            f"{measured:,} {unit}",
            "fail" if off else "pass",
            f"off by {off:+,} {unit}" if off else None,
        )

    @classmethod
    def within(cls, name: str, expected: str, measured: str, error: float, tolerance: float) -> "Finding":
        """A number that has to be read back to within a share of it."""
        verdict: Verdict = "pass" if abs(error) <= tolerance else "fail"
        return cls(name, expected, measured, verdict, f"off by {error:+z.2%}, allowed {tolerance:.0%}")

    @classmethod
    def unavailable(cls, name: str, expected: str, reason: str) -> "Finding":
        """What this machine cannot measure, and why."""
        return cls(name, expected, None, "unavailable", reason)


@dataclass(frozen=True)
class Quantity:
    """Something the harness reports, and whether this machine gives it."""

    name: str
    metrics: tuple[str, ...]
    """Names of the metrics it stands for; none for what is noted once a run."""
    reason: str | None
    """Why it cannot be measured; ``None`` where it can."""
    remark: str | None = None
    """How finely it is read, or what it reads now."""


@dataclass(frozen=True)
class Examination:
    """One machine and device examined."""

    device: str
    device_name: str
    quantities: tuple[Quantity, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed; what is unavailable has not."""
        return all(finding.verdict != "fail" for finding in self.findings)
