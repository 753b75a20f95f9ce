"""Two runs, cell by cell and metric by metric."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from statistics import median

from harness.cell import Cell, Measurement, Status
from harness.compare import machines
from harness.compare.amounts import JUDGED, judge
from harness.compare.confirm import DETECT
from harness.compare.finding import EVERY_METRIC, STATUS, Comparison, Finding, ordered
from harness.compare.processes import fastest_call, samples, time_metric, timed, times_of, undisturbed
from harness.compare.suspects import plan, with_remedies
from harness.compare.times import Times, compare_apart, compare_in_turn
from harness.errors import BadInput, unknown
from harness.exports.names import named
from harness.repeats import merged
from harness.statistics import Verdict
from harness.store import LoadedRun
from harness.text import harmless, one_line

MOVED_TOGETHER = 0.05
"""Median change of all times, between runs made apart, that may well be the machine's."""


def require_judged(metrics: Collection[str]) -> None:
    """See that each of the metrics can be better or worse.

    Raises:
        BadInput: One cannot, or is not known.
    """
    for name in metrics:
        if name not in EVERY_METRIC:
            raise unknown("metric to judge", name, EVERY_METRIC)


def compare_runs(
    base: LoadedRun,
    head: LoadedRun,
    *,
    force: bool = False,
    in_turn: bool = False,
    metrics: Collection[str] = (),
    detect: float = DETECT,
) -> Comparison:
    """Compare every cell of ``base`` with the same one of ``head``: the one with the same content.

    Args:
        base: What to compare with.
        head: What may have become worse.
        force: Compare runs of different machines as well; their times are not judged.
        in_turn: The runs' processes took turns on one machine, in one job.
        metrics: Judge these alone; by default all that can be better or worse.
        detect: Slowdown one cares about; of times that are unclear it is said what finding it would take.

    Raises:
        BadInput: The machines differ, or a metric is not one that can be better or worse.
    """
    require_judged(metrics)
    differences = [] if in_turn else machines.differences(base.manifest.machine, head.manifest.machine)
    if differences and not force:
        raise BadInput(f"{base.path} and {head.path} are not of one machine ({'; '.join(differences)}); see --force")
    content = _content_anywhere if differences else _content
    if not (base.manifest.tells_defaults and head.manifest.tells_defaults):
        content = _of_stated(content)
    pairs = _Pairs(base, head, set(metrics or EVERY_METRIC), content)
    times = pairs.times(in_turn, "runs of different machines" if differences else "")
    if not differences:
        times = with_remedies(times, pairs.fastest(), detect)
    findings = ordered([*pairs.statuses(), *times, *pairs.amounts()], base)
    notices = [*_notices(base, head, differences), *pairs.notices()]
    if not in_turn:
        notices += _moved_together([each.ratio for each in times if each.ratio])
    return Comparison(base, head, findings, notices, plan(base.path, head.path, findings, detect))


def _notices(base: LoadedRun, head: LoadedRun, differences: Sequence[str]) -> Iterator[str]:
    yield from (harmless(f"{run.path}: {notice}") for run in (base, head) for notice in run.notices)
    if differences:
        yield f"different machines, so times are not judged: {'; '.join(differences)}"
    else:
        yield from (f"the runs differ in {each}" for each in machines.setting_differences(base.manifest, head.manifest))
    if base.manifest.tells_defaults != head.manifest.tells_defaults:
        older = head if base.manifest.tells_defaults else base
        yield f"{older.path} does not tell its cells' defaults, which are taken to be those of the other run"
    ours, theirs = base.manifest.suite, head.manifest.suite
    if ours.digest != theirs.digest:
        what = f"'{ours.name}' and '{theirs.name}'" if ours.name != theirs.name else f"two versions of '{ours.name}'"
        yield f"the runs are of {what}: cells that are not in both are missing or new"


def _moved_together(ratios: Sequence[float]) -> Iterator[str]:
    if len(ratios) > 1 and abs(math.log(moved := median(ratios))) > math.log1p(MOVED_TOGETHER):
        yield f"half of all times changed by {moved - 1:+.0%} or more: perhaps the machine did; compare two revisions"


class _Pairs:
    """The cells of base beside those of head."""

    def __init__(
        self, base: LoadedRun, head: LoadedRun, metrics: Collection[str], content: Callable[[Cell], str]
    ) -> None:
        self._base, self._head = base, head
        self._metrics = metrics
        self._names = {content(each.measurement.cell): each for each in named([base])}
        self._bases, self._heads = _grouped(base, content), _grouped(head, content)
        self._both = [key for key in self._bases if key in self._heads]
        self._ok = [key for key in self._both if _is_ok(self._bases[key]) and _is_ok(self._heads[key])]

    def notices(self) -> Iterator[str]:
        new = len(self._heads.keys() - self._bases.keys())
        if new:
            yield f"{new} of {len(self._heads)} cells are in {self._head.path} only: nothing to compare them with"

    def statuses(self) -> Iterator[Finding]:
        """A verdict on each cell of base as a whole."""
        for key, processes in self._bases.items():
            verdict, reason = _status(merged(processes), self._heads.get(key))
            yield self._finding(key, STATUS, verdict, reason=reason)

    def amounts(self) -> Iterator[Finding]:
        """Verdicts on what is the same at every run of the same code."""
        for key in self._ok:
            bases, heads = self._bases[key], self._heads[key]
            for metric in (each for each in JUDGED if each in self._metrics):
                ours, theirs = samples(bases, metric), samples(heads, metric)
                if ours and theirs:
                    judged = judge(metric, bases[0].cell, ours, theirs)
                    yield self._finding(key, metric, judged.verdict, judged.base, judged.head)
                elif ours:
                    yield self._gone(key, metric, median(ours[0]))

    def times(self, in_turn: bool, not_judged: str) -> list[Finding]:
        """Verdicts on the times of all cells together; none is judged where ``not_judged`` says why."""
        found: list[Finding] = []
        judged: list[tuple[str, str, Times]] = []
        for key in self._ok:
            metric = time_metric(self._bases[key])
            if metric not in self._metrics or not samples(self._bases[key], metric):
                continue
            if not samples(self._heads[key], metric):
                found.append(self._gone(key, metric, median(samples(self._bases[key], metric)[0])))
                continue
            times = self._undisturbed(key, metric, in_turn)
            if times is None or not_judged:
                reason = not_judged or "no process of one side had a processor to itself"
                found.append(self._finding(key, metric, Verdict.UNCLEAR, reason=reason))
            else:
                judged.append((key, metric, times))
        compared = (compare_in_turn if in_turn else compare_apart)([times for _, _, times in judged])
        for (key, metric, times), each in zip(judged, compared, strict=True):
            middle = median(times.base)
            reason = _few(times) if each.verdict is Verdict.UNCLEAR else ""
            numbers = (middle, each.ratio * middle, each.low, each.high)
            found.append(self._finding(key, metric, each.verdict, *numbers, reason=reason))
        return found

    def fastest(self) -> dict[str, Times]:
        """By the key of each cell that has times on both sides, what its processes took in their fastest calls."""
        found: dict[str, Times] = {}
        for key in self._ok:
            metric = time_metric(self._bases[key])
            base, head = (list(timed(side[key], metric).values()) for side in (self._bases, self._heads))
            if base and head:
                found[self._names[key].measurement.cell.key] = times_of(base, head, metric, fastest_call)
        return found

    def _undisturbed(self, key: str, metric: str, in_turn: bool) -> Times | None:
        """Times of the processes with a core to themselves, or in turn of pairs of such; none where there are none."""
        base = undisturbed(self._bases[key], metric, self._base.manifest.machine.logical_cores)
        head = undisturbed(self._heads[key], metric, self._head.manifest.machine.logical_cores)
        if in_turn:
            both = base.keys() & head.keys()
            base, head = ({repeat: side[repeat] for repeat in sorted(both)} for side in (base, head))
        if not base or not head:
            return None
        return times_of(list(base.values()), list(head.values()), metric)

    def _gone(self, key: str, metric: str, base: float) -> Finding:
        note = merged(self._heads[key]).notes.get(metric, "no number")
        return self._finding(key, metric, Verdict.WORSE, base, reason=f"missing in head: {note}")

    def _finding(self, key: str, metric: str, verdict: Verdict, *numbers: float, reason: str = "") -> Finding:
        names = self._names[key]
        cell = names.measurement.cell
        return Finding(cell, names.name, names.setting, metric, verdict, *numbers, reason=one_line(reason))


def _content(cell: Cell) -> str:
    """The key the cell has now: that of an older schema can be another."""
    return cell.key


def _content_anywhere(cell: Cell) -> str:
    """The same of every machine: how many threads there are, and which device of its kind it is, may differ."""
    return cell.model_copy(update={"threads": 1, "device": cell.device.partition(":")[0]}).key


def _of_stated(content: Callable[[Cell], str]) -> Callable[[Cell], str]:
    """The same by the parameters the suite gave alone, for runs that hold no others."""
    return lambda cell: content(cell.as_stated())


def _grouped(run: LoadedRun, content: Callable[[Cell], str]) -> dict[str, list[Measurement]]:
    """The processes of every cell."""
    found: dict[str, list[Measurement]] = {}
    for each in run.processes:
        found.setdefault(content(each.cell), []).append(each)
    return found


def _is_ok(processes: Sequence[Measurement]) -> bool:
    return all(each.status is Status.OK for each in processes)


def _status(base: Measurement, head: Sequence[Measurement] | None) -> tuple[Verdict, str]:
    if head is None:
        return Verdict.WORSE, "missing in head"
    now = merged(head)
    change = f"{base.status} before, {now.status} now"
    if base.status is Status.OK and now.status is not Status.OK:
        return Verdict.WORSE, f"{change}: {now.reason}" if now.reason else change
    if base.status is not Status.OK and now.status is Status.OK:
        return Verdict.BETTER, change
    return Verdict.SAME, "" if now.status is Status.OK else change


def _few(times: Times) -> str:
    return f"{len(times.base)} against {len(times.head)} processes do not tell"
