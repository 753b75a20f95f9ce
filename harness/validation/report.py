"""What a validation found, as text and as JSON."""

import json
import math
from dataclasses import asdict, dataclass

from harness.cell import Reference, Scalar


@dataclass(frozen=True)
class Draw:
    """One seeded problem and task: how far the function was from the reference, or why that cannot be said."""

    seed: int
    passed: bool
    relative_error: float | None = None
    """‖g − g_ref‖ / ‖g_ref‖."""
    cosine: float | None = None
    norm_ratio: float | None = None
    """‖g‖ / ‖g_ref‖."""
    reason: str | None = None
    """Why there is nothing to compare: an exception, a missing name, a wrong shape, …"""


@dataclass(frozen=True)
class Cause:
    """What the function seems to compute instead."""

    kind: str
    """One word for programs, as in ``sign``, ``factor``, ``lambda``, ``cg-steps``; ``" or "`` joins
    several that nothing tells apart."""
    line: str
    """One sentence for people, with the numbers found."""


@dataclass(frozen=True)
class ValidationReport:
    """Verdict on a function that computes meta-gradients. Prints as a table."""

    function: str
    problem: str
    reference: Reference
    settings: dict[str, Scalar | None]
    """λ, K, α and inner solver the function was said to use; ``None`` for what was left open."""
    dtype: str
    tolerance: float
    """Largest relative error that passes."""
    draws: tuple[Draw, ...]
    cause: Cause | None = None
    """Named only where it explains every failed draw much better than the reference does."""

    @property
    def passed(self) -> bool:
        """Whether every draw did."""
        return all(draw.passed for draw in self.draws)

    @property
    def likely_cause(self) -> str | None:
        """What is wrong, in a sentence; ``None`` where nothing is.

        Where nothing fits it is ``"unknown"``, with what to tell so that more can be looked for.
        """
        if self.passed:
            return None
        if self.cause:
            return self.cause.line
        untold = [f"{name}=…" for name in ("steps", "lr") if self.settings.get(name) is None]
        if self.reference == "implicit" and untold:
            return f"unknown; tell {' and '.join(untold)} to have causes at φ_K looked for as well"
        return "unknown"

    def to_json(self) -> str:
        """The report as a JSON object; numbers that are not finite are ``null``."""
        draws = [
            {
                key: None if isinstance(value, float) and not math.isfinite(value) else value
                for key, value in row.items()
            }
            for row in map(asdict, self.draws)
        ]
        content = {
            "passed": self.passed,
            **asdict(self),
            "draws": draws,
            "cause": asdict(self.cause) if self.cause else None,
            "likely_cause": self.likely_cause,
        }
        return json.dumps(content, indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        settings = ", ".join(f"{name} = {value}" for name, value in self.settings.items() if value is not None)
        verdict = "passed" if self.passed else "FAILED"
        lines = [
            f"{self.function} on {self.problem}, {self.dtype}, against the {self.reference} reference: {verdict}",
            f"{settings}; relative error allowed: {self.tolerance:.2g}",
            "",
            f"{'seed':>6}  {'relative error':>14}  {'cosine':>9}  {'norm ratio':>10}  verdict",
            *map(_row, self.draws),
        ]
        if not self.passed:
            lines += ["", f"likely cause: {self.likely_cause}"]
        return "\n".join(lines)


def _row(draw: Draw) -> str:
    if draw.reason is not None:
        return f"{draw.seed:>6}  {'':>14}  {'':>9}  {'':>10}  failed: {draw.reason}"
    verdict = "passed" if draw.passed else "failed"
    return f"{draw.seed:>6}  {draw.relative_error:>14.1e}  {draw.cosine:>9.6f}  {draw.norm_ratio:>10.4g}  {verdict}"
