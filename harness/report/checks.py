"""What was checked before the numbers are believed, and how it came out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.cell import Measurement, Status
from harness.disturbance import of_timed_cells
from harness.expectations import Outcome, Verdict, counted
from harness.report.calibration import pairs
from harness.report.forecast import FAR_OFF, ran_out
from harness.report.quality import between_processes, leaks, suspects
from harness.report.settings import Setting
from harness.report.validity import unchecked
from harness.report.words import listed
from harness.statistics import Remark
from harness.store import LoadedRun
from harness.units import count_of, number, percent

EXACT = 1e-6
"""Relative error up to which MAML's gradient is that of the exact backprop it claims to be (in float64)."""


class State(StrEnum):
    """How a check came out."""

    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Check:
    """One check."""

    state: State
    what: str
    found: str = ""
    """In a sentence; empty where nothing was measured that would tell."""


def checks(
    runs: Sequence[LoadedRun], settings: Sequence[Setting], claims: Sequence[Verdict], remarks: Iterable[str]
) -> list[Check]:
    """Every check, in a fixed order; ``remarks`` are the findings, in which those on times are looked for."""
    cells = [measurement for run in runs for measurement in run.measurements]
    return [
        _claims(claims),
        _ended(runs, cells),
        _times(runs, cells, list(remarks)),
        _sentences(
            "Memory from call to call", cells, "retained_bytes", settings, leaks, "Repeated calls leave nothing behind."
        ),
        _sentences("The GPU", cells, "suspect", settings, suspects, "No timed call was throttled or shared."),
        _sentences("Processes of a cell", cells, "process_seconds", settings, between_processes, "They agree."),
        _exact(cells),
        _curvature(cells, settings),
        _forecast(settings),
        _ran_out(settings),
        _source(runs),
    ]


def _claims(claims: Sequence[Verdict]) -> Check:
    what = "Claims of the suite"
    if not claims:
        return Check(State.UNKNOWN, what)
    outcomes = {claim.outcome for claim in claims}
    state = State.BAD if Outcome.FAIL in outcomes else State.CAUTION if Outcome.UNTESTED in outcomes else State.GOOD
    return Check(state, what, f"{counted(claims)}.")


def _ended(runs: Sequence[LoadedRun], cells: Sequence[Measurement]) -> Check:
    planned = {(run.path, key) for run in runs for key in run.manifest.planned}
    missing = len(planned - {(run.path, m.key) for run in runs for m in run.measurements})
    by_status = {status: sum(m.status is status for m in cells) for status in Status}
    failed = [f"{count} {status}" for status, count in by_status.items() if count and status is not Status.OK]
    what = "Cells"
    if missing:
        return Check(State.BAD, what, f"{missing} of {len(planned)} planned have no measurement.")
    if failed:
        return Check(State.CAUTION, what, f"{by_status[Status.OK]} of {len(cells)} ended well; {listed(failed)}.")
    return Check(State.GOOD, what, f"All {len(cells)} ended well.")


def _times(runs: Sequence[LoadedRun], cells: Sequence[Measurement], remarks: Sequence[str]) -> Check:
    what = "Wall times"
    if not _held(cells, "wall_seconds"):
        return Check(State.UNKNOWN, what)
    said = [remark.value for remark in Remark if any(f"Wall time is {remark} " in sentence for sentence in remarks)]
    found = [f"Some are {listed(said)}: see the findings for which, and what to do."] if said else []
    timed = [shares for run in runs for shares in of_timed_cells(run)]
    disturbed = [max(shares) for shares in timed if shares]
    if disturbed:
        found.insert(
            0,
            f"{len(disturbed)} of {len(timed)} cells were timed while other processes took their processor "
            f"(up to {percent(max(disturbed))} of the machine's CPU time).",
        )
    if found:
        return Check(State.CAUTION, what, " ".join(found))
    return Check(State.GOOD, what, "None is unstable, drifting or bimodal.")


def _sentences(
    what: str,
    cells: Sequence[Measurement],
    metric: str,
    settings: Sequence[Setting],
    told: Callable[[Setting], list[str]],
    good: str,
) -> Check:
    """A check that is good where there is nothing to tell."""
    if not _held(cells, metric):
        return Check(State.UNKNOWN, what)
    found = list(dict.fromkeys(sentence for setting in settings for sentence in told(setting)))
    return Check(State.CAUTION, what, " ".join(found)) if found else Check(State.GOOD, what, good)


def _exact(cells: Sequence[Measurement]) -> Check:
    what = "MAML against exact backprop"
    errors = [
        e
        for m in _held(cells, "backprop_relative_error")
        for e in m.metrics["backprop_relative_error"]
        if m.cell.estimator.name == "maml"
    ]  # fmt: skip  (replay is what the reference is computed by)
    if not errors:
        return Check(State.UNKNOWN, what)
    worst = max(errors)
    if worst <= EXACT:
        return Check(State.GOOD, what, f"Its gradient is exact: relative error {number(worst, 2)} at worst.")
    return Check(State.BAD, what, f"Its gradient should be exact, but is off by {number(worst, 2)} at worst.")


def _curvature(cells: Sequence[Measurement], settings: Sequence[Setting]) -> Check:
    what = "Premise of the implicit method"
    flags, least = _held(cells, "negative_curvature"), _held(cells, "smallest_curvature")
    bad = {m.key for m in flags if any(m.metrics["negative_curvature"])}
    bad |= {m.key for m in least if min(m.metrics["smallest_curvature"]) <= 0}
    looked_at = {m.key for m in (*flags, *least)}
    found: list[str] = []
    if bad:
        found.append(f"H + λI may be indefinite in {len(bad)} of {len(looked_at)} cells.")
    elif looked_at:
        found.append(f"No sign of negative curvature in {len(looked_at)} cells.")
    unknown = _unchecked(settings)
    state = State.CAUTION if bad or unknown else State.GOOD if looked_at else State.UNKNOWN
    return Check(state, what, " ".join(found + unknown))


def _unchecked(settings: Sequence[Setting]) -> list[str]:
    """Where nothing is known of the premise, in a sentence."""
    held = [(setting, cells) for setting in settings if (cells := unchecked(setting))]
    if not held:
        return []
    where = dict.fromkeys(
        setting.facts.get("run") or (f"“{setting.study}”" if setting.study else cells[0].cell.problem.name)
        for setting, cells in held
    )
    passes = {name for _, cells in held for m in cells for name in m.cell.measure}
    why = "no number of the curvature" if "accuracy" in passes else "no accuracy pass"
    count = len({(setting.facts.get("run"), m.key) for setting, cells in held for m in cells})
    return [f"Not checked in {listed(where)} ({why}): {count_of(count, 'cell')}."]


def _forecast(settings: Sequence[Setting]) -> Check:
    what = "Memory forecast"
    errors = [abs(pair.error) for own in pairs(settings).values() for pair in own]
    if not errors:
        return Check(State.UNKNOWN, what)
    worst = max(errors)
    if worst == 0:
        return Check(State.GOOD, what, f"Exact to the byte in {len(errors)} cells.")
    state = State.GOOD if worst <= FAR_OFF else State.BAD
    return Check(state, what, f"Off by {number(100 * worst, 2)} % at worst, in {len(errors)} cells.")


def _ran_out(settings: Sequence[Setting]) -> Check:
    what = "Out of memory where forecast"
    found = [each for setting in settings for each in ran_out(setting)]
    if not found:
        return Check(State.UNKNOWN, what)
    state = State.GOOD if all(each.near for each in found) else State.BAD
    return Check(state, what, " ".join(dict.fromkeys(each.words() for each in found)))


def _source(runs: Sequence[LoadedRun]) -> Check:
    what = "Source code"
    if not all(run.manifest.git_revision for run in runs):
        return Check(State.UNKNOWN, what)
    dirty = [run.name for run in runs if run.manifest.git_dirty]
    if dirty:
        return Check(
            State.CAUTION,
            what,
            f"It had uncommitted changes ({listed(dirty)}): the run cannot be repeated to the letter.",
        )
    return Check(State.GOOD, what, "At a recorded revision, without uncommitted changes.")


def _held(cells: Sequence[Measurement], metric: str) -> list[Measurement]:
    return [m for m in cells if m.status is Status.OK and m.metrics.get(metric)]
