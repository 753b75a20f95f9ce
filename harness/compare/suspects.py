"""Times that may have changed and are not decided: what would decide them, the suite that measures them again."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from harness.cell import Measurement, Part
from harness.checks import LONGEST_TEXT
from harness.compare.confirm import DETECT, LOOKS, Decision, Pair, required_processes
from harness.compare.finding import TIMES, Comparison, Finding, ordered
from harness.compare.processes import fastest_call, time_metric, timed
from harness.compare.times import Times, process_spreads
from harness.errors import BadInput
from harness.statistics import Verdict
from harness.suite_schema import MOST_TABLES
from harness.text import one_line

MIN_SECONDS, MAX_SECONDS = 0.2, 0.5
"""Of the timed calls of a process that confirms: the fastest of many short ones is known well."""


def is_suspect(finding: Finding) -> bool:
    """Whether this is a time of both sides that may differ: one that is worse, or better, may be so by chance."""
    gone = finding.verdict is Verdict.WORSE and finding.head is None
    return finding.metric in TIMES and finding.verdict is not Verdict.SAME and not gone


def with_remedies(times: Sequence[Finding], fastest: Mapping[str, Times], detect: float) -> list[Finding]:
    """The findings with what would decide those that are unclear.

    Args:
        times: Verdicts on times.
        fastest: By key of the cell, what its processes took in their fastest calls.
        detect: The slowdown one cares about, as a share.
    """
    spreads = dict(zip(fastest, process_spreads(list(fastest.values())) or (), strict=False))
    suspects = sum(map(is_suspect, times))
    found: list[Finding] = []
    for each in times:
        if each.verdict is not Verdict.UNCLEAR or each.cell.key not in fastest:
            found.append(each)
            continue
        spread = spreads.get(each.cell.key)
        needed = None if spread is None else required_processes(spread, detect, suspects)
        found.append(replace(each, needed=needed, remedy=_remedy(needed, spread, detect)))
    return found


def _remedy(needed: int | None, spread: float | None, detect: float) -> str:
    if needed:
        return f"{needed} a side in turn tell {share(detect)}: --confirm"
    if spread is None:
        return f"--confirm measures until {share(detect)} is told, or {LOOKS[-1]} a side are not enough"
    return f"processes {share(spread)} apart: {LOOKS[-1]} a side in turn may not tell {share(detect)}"


def plan(base: Path, head: Path, findings: Sequence[Finding], detect: float) -> str:
    """What it takes to decide the times that are unclear, in a line; empty where all are decided."""
    unclear = [each for each in findings if each.remedy]
    if not unclear:
        return ""
    known = [each.needed for each in unclear]
    most = LOOKS[-1] if None in known else max(each for each in known if each)
    option = "" if detect == DETECT else f" --detect {share(detect)}"
    what = "1 time is" if len(unclear) == 1 else f"{len(unclear)} times are"
    return (
        f"{what} unclear: to tell a slowdown of {share(detect)} takes up to {most} processes a side, in turn, which "
        f"imaml-bench compare {quote(str(base))} {quote(str(head))} --confirm{option} measures"
    )


def share(value: float) -> str:
    """As in "10%"."""
    return f"{100 * value:.3g}%"


@dataclass(frozen=True)
class Suspects:
    """The suspects of a comparison, by the labels they have in a suite of their own."""

    findings: Mapping[str, Finding]

    @classmethod
    def of(cls, comparison: Comparison) -> "Suspects":
        """All of them, the worst first.

        Raises:
            BadInput: They are too many for a suite.
        """
        found = [each for each in comparison.findings if is_suspect(each)]
        if len(found) > MOST_TABLES["study"]:
            raise BadInput(
                f"--confirm: {len(found):,} times are suspect, more than a suite may hold; compare fewer cells"
            )
        return cls({_label(place, each.name): each for place, each in enumerate(found, start=1)})

    def suite(self) -> str:
        """The suite that measures the time of each, and nothing else."""
        title = 'title = "Times that are suspect"\n'
        return title + "".join(_study(label, each) for label, each in self.findings.items())


def pairs(base: Collection[Measurement], head: Collection[Measurement], turn: int) -> dict[str, Pair]:
    """By label, the fastest calls of both sides' processes of that turn, where both have times."""
    found: dict[str, Pair] = {}
    theirs = {each.cell.label: each for each in head if each.repeat == turn}
    for ours in (each for each in base if each.repeat == turn):
        both = [ours, theirs[ours.cell.label]] if ours.cell.label in theirs else []
        metric = time_metric(both)
        if both and all(timed([each], metric) for each in both):
            found[ours.cell.label] = (fastest_call(ours, metric), fastest_call(both[1], metric))
    return found


def confirmed(comparison: Comparison, suspects: Suspects, decisions: Mapping[str, Decision], runs: Path) -> Comparison:
    """The comparison with the suspects' verdicts replaced by what their new processes came to.

    Args:
        comparison: What the suspects are of.
        suspects: What was measured again.
        decisions: By label.
        runs: Where the runs of the new processes are.
    """
    new = {(each.cell.key, each.metric): decisions[label] for label, each in suspects.findings.items()}
    found = [_decided(each, new.get((each.cell.key, each.metric)), runs) for each in comparison.findings]
    most = max(len(each.pairs) for each in decisions.values())
    what = "1 time" if len(new) == 1 else f"{len(new)} times"
    notice = f"{what} measured again, base and head in turn, in up to {most} new processes a side: {runs}"
    return replace(
        comparison, findings=ordered(found, comparison.base), notices=[*comparison.notices, one_line(notice)], plan=""
    )


def _decided(finding: Finding, decision: Decision | None, runs: Path) -> Finding:
    if decision is None:
        return finding
    compared, count = decision.comparison, len(decision.pairs)
    if not count:
        reason = one_line(f"no process ended ok on both sides: {runs}")
        return replace(finding, verdict=Verdict.UNCLEAR, reason=reason, needed=None, remedy="")
    told = "do not tell" if compared.verdict is Verdict.UNCLEAR else "tell"
    reason = one_line(f"{count} processes a side in turn {told}: {runs}")
    return replace(
        finding,
        verdict=compared.verdict,
        base=decision.base,
        head=compared.ratio * decision.base,
        low=compared.low,
        high=compared.high,
        reason=reason,
        needed=None,
        remedy="",
    )


def _label(place: int, name: str) -> str:
    """A label of its own, no longer than one may be, and without fields that a suite would fill in."""
    return f"{place}. {name}".translate({ord("{"): "(", ord("}"): ")"})[:LONGEST_TEXT]


def _study(label: str, finding: Finding) -> str:
    cell = finding.cell
    estimator = {"name": cell.estimator.name, "label": label}
    grid = {"steps": [cell.steps], "tasks": [cell.tasks], "dtype": [cell.dtype], "seed": cell.seed}
    measure = {
        "passes": ["time"],
        "min_samples": cell.min_samples,
        "min_seconds": MIN_SECONDS,
        "max_seconds": MAX_SECONDS,
        "time_limit_seconds": cell.time_limit_seconds,
    }
    tables = {
        "problem": {"name": cell.problem.name, **_listed(cell.problem)},
        "grid": grid,
        "measure": measure,
    }
    lines = [f"{name} = {_toml(content)}" for name, content in tables.items()]
    entry = _toml({**estimator, **_listed(cell.estimator)})
    return "\n".join(["", "[[study]]", f"title = {_toml(label)}", *lines, f"estimator = [{entry}]", ""])


def _listed(part: Part) -> dict[str, object]:
    """The parameters the suite gave, as it writes them: a list would be an axis, so one that is a value is nested."""
    return {name: [value] if isinstance(value, list) else value for name, value in part.stated.items()}


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        given = {name: each for name, each in value.items() if each is not None}
        return "{ " + ", ".join(f"{_toml(name)} = {_toml(each)}" for name, each in given.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
