"""What the samples say about themselves: noise, leaks, doubts."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import get_args

from harness.cell import MATH_ATTENTION, METRICS, Measurement, Reference, Status
from harness.disturbance import taken_by_others
from harness.repeats import DIFFERS
from harness.report.settings import Curve, Setting
from harness.report.words import listed, names, quoted
from harness.statistics import Remark, remarks
from harness.units import percent, quantity

BUSY = "timed on a busy machine"
"""What is said of a number that rests on disturbed times."""


def quality(setting: Setting) -> list[str]:
    """What a reader should know of the measurements before believing them."""
    return [
        *missing_references(setting),
        *math_attention(setting),
        *noise(setting),
        *busy(setting),
        *leaks(setting),
        *suspects(setting),
        *between_processes(setting),
    ]


def missing_references(setting: Setting) -> list[str]:
    """Where an error could not be had, for there is nothing to measure it against."""
    sentences: list[str] = []
    for kind in get_args(Reference):
        name = f"{kind}_relative_error"
        where = _where(setting, lambda each, name=name: name in each.notes)
        if where:
            reason = next(each.notes[name] for each in setting.measurements if name in each.notes)
            sentences.append(f"Not every error could be measured for {where}: {reason}.")
    return sentences


def math_attention(setting: Setting) -> list[str]:
    """Whose attention was not computed by the kernels that PyTorch would take by itself."""
    where = _where(setting, lambda each: each.notes.get("peak_bytes") == MATH_ATTENTION)
    return [f"For {where}, {MATH_ATTENTION}."] if where else []


def noise(setting: Setting) -> list[str]:
    """Series of times that are unstable, drifting or bimodal, and what to do about it."""
    said = {id(each): remarks(each.metrics.get("wall_seconds", ())) for each in setting.measurements}
    found = {remark: _where(setting, lambda each, remark=remark: remark in said[id(each)]) for remark in Remark}
    return [f"Wall time is {remark} for {where} ({remark.meaning})." for remark, where in found.items() if where]


def busy(setting: Setting) -> list[str]:
    """Whose times were disturbed by other processes, and how much at worst."""
    worst = max((share for curve in setting.curves for share in disturbed(setting, curve).values()), default=0.0)
    where = _where(setting, lambda each: bool(_taken(setting, each)))
    if not where:
        return []
    return [
        f"Wall times are not to be trusted for {where}: other processes took the processor meanwhile "
        f"(up to {percent(worst)} of the machine's CPU time)."
    ]


def disturbed(setting: Setting, curve: Curve) -> dict[float, float]:
    """The largest share of the machine's CPU time that others had, by value of the variable, where times suffered."""
    found: dict[float, float] = {}
    for value, each in curve.placed():
        if each.status is Status.OK and (shares := _taken(setting, each)):
            found[value] = max(*shares, found.get(value, 0.0))
    return found


def _taken(setting: Setting, measurement: Measurement) -> list[float]:
    return taken_by_others(measurement, setting.logical_cores) if measurement.metrics.get("wall_seconds") else []


def leaks(setting: Setting) -> list[str]:
    """Estimators whose repeated calls leave more and more memory behind: that is no growth with K."""
    found = [
        f"{quoted(curve.label)} {quantity(most, 'B')} a call"
        for curve in setting.curves
        if (most := max((_leak_bytes(each) for each in curve.measurements), default=0.0)) > 0
    ]
    return [f"Memory leaks from call to call: {listed(found)}. It is held whatever K."] if found else []


def _leak_bytes(measurement: Measurement) -> float:
    retained = measurement.metrics.get("retained_bytes", ())
    return retained[-1] - retained[-2] if len(retained) > 1 else 0.0


def suspects(setting: Setting) -> list[str]:
    """Timed calls during which the GPU was slowed down or shared."""
    where = _where(setting, lambda m: any(m.metrics.get("suspect", ())))
    reasons = dict.fromkeys(
        m.notes["suspect"] for m in setting.measurements if any(m.metrics.get("suspect", ())) and "suspect" in m.notes
    )
    return [f"Some timed calls are suspect for {where}: {listed(list(reasons))}."] if where else []


def between_processes(setting: Setting) -> list[str]:
    """How far the processes of a cell differ in median wall time, and what should not differ and does."""
    spreads = [
        (max(seconds) / min(seconds) - 1, each)
        for each in setting.measurements
        if len(seconds := each.metrics.get("process_seconds", ())) > 1 and min(seconds) > 0
    ]
    sentences: list[str] = []
    if spreads:
        worst, where = max(spreads, key=lambda pair: pair[0])
        middle = median(spread for spread, _ in spreads)
        count = len(where.metrics["process_seconds"])
        sentences.append(
            f"Median wall times of the {count} processes of a cell differ by {percent(middle)} (median over cells), "
            f"at most by {percent(worst)} ({quoted(where.cell.label)} at K = {where.cell.steps})."
        )
    differing = sorted(
        {
            name
            for each in setting.measurements
            for name, note in each.notes.items()
            if DIFFERS in note and name in METRICS
        }
    )
    if differing:
        sentences.append(f"What should be the same in every process is not: {listed(differing)}.")
    return sentences


def _where(setting: Setting, holds: Callable[[Measurement], bool]) -> str:
    """Names and values of the variable of the cells of which something holds; empty where there are none."""
    clauses: list[str] = []
    alike: dict[tuple[float, ...], list[str]] = {}
    for curve in setting.curves:
        values = tuple(_of(curve.placed(), holds))
        if values:
            alike.setdefault(values, []).append(curve.label)
    for values, labels in alike.items():
        clauses.append(f"{names(labels)} at {setting.variable.at(*values)}")
    return listed(clauses) if clauses else ""


def _of(placed: Iterable[tuple[float, Measurement]], holds: Callable[[Measurement], bool]) -> list[float]:
    return [value for value, each in placed if each.status is Status.OK and holds(each)]
