"""What a comparison comes to."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.cell import METRICS, Cell
from harness.compare.amounts import JUDGED, SEVERITY
from harness.statistics import Verdict
from harness.store import LoadedRun

STATUS = "status"
"""What stands in the place of a metric where the verdict is on the cell as a whole."""
TIMES = ("wall_seconds", "cuda_seconds")
EVERY_METRIC = (*TIMES, *JUDGED)
"""All that can be better or worse."""


@dataclass(frozen=True)
class Finding:
    """The verdict on one metric of one cell."""

    cell: Cell
    name: str
    """What the run calls the cell."""
    setting: str
    """What the name leaves out: problem, tasks, dtype, device, threads, seed."""
    metric: str
    """One of ``METRICS``, or ``status``."""
    verdict: Verdict
    base: float | None = None
    head: float | None = None
    """In the metric's unit; none where there is no number."""
    low: float | None = None
    high: float | None = None
    """Of the interval of head over base, for times."""
    reason: str = ""
    """One line, where the numbers do not say it."""
    needed: int | None = None
    """Processes a side, in turn, that would decide an unclear time; none where they are not known, or too many."""
    remedy: str = ""
    """What would decide it, in one line."""

    @property
    def unit(self) -> str:
        """Of ``base`` and ``head``."""
        return METRICS[self.metric].unit if self.metric in METRICS else ""

    @property
    def ratio(self) -> float | None:
        """Head over base; none where base is zero."""
        return self.head / self.base if self.base and self.head is not None else None


@dataclass(frozen=True)
class Comparison:
    """Head against base."""

    base: LoadedRun
    head: LoadedRun
    findings: list[Finding]
    """The worst first; of one verdict, in the order of base."""
    notices: list[str]
    """What the reader should know, a line each."""
    plan: str = ""
    """What it takes to decide the times that are unclear, in one line; empty where none is."""

    @property
    def notes(self) -> list[str]:
        """The notices, and the plan where there is one."""
        return [*self.notices, *filter(None, [self.plan])]

    @property
    def failed(self) -> bool:
        """Whether anything became worse."""
        return self.count(Verdict.WORSE) > 0

    def count(self, verdict: Verdict) -> int:
        """Findings of this verdict."""
        return sum(each.verdict is verdict for each in self.findings)

    @property
    def changes(self) -> list[Finding]:
        """All that is not the same."""
        return [each for each in self.findings if each.verdict is not Verdict.SAME]

    @property
    def summary(self) -> str:
        """The verdicts counted, in one line."""
        counts = ", ".join(f"{self.count(verdict)} {verdict.upper()}" for verdict in SEVERITY)
        return f"{counts} of {len(self.findings)} numbers of {len({each.cell.key for each in self.findings})} cells"


def ordered(findings: Sequence[Finding], base: LoadedRun) -> list[Finding]:
    """The worst first; of one verdict, in the order of base."""
    order = {each.cell.key: place for place, each in enumerate(base.measurements)}
    return sorted(findings, key=lambda each: (SEVERITY.index(each.verdict), order[each.cell.key]))
