"""The verdict: what a reader should take away, in words computed from the numbers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from statistics import median

from harness.report.findings import accuracy, growth
from harness.report.laws import scalings
from harness.report.quality import BUSY, disturbed
from harness.report.settings import Curve, Setting
from harness.report.validity import is_implicit, unchecked
from harness.report.variables import STEPS
from harness.report.words import error, quoted
from harness.units import number

SETTINGS = 3
"""Most settings whose verdict is spelled out."""
TIME, MEMORY = "wall_seconds", "peak_bytes"
_ERRORS = {
    "implicit_relative_error": "the exact implicit gradient",
    "backprop_relative_error": "exact backprop",
}
ABOUT_EQUAL = 0.10
"""Relative difference of two times, or of two memories, of which no advice is made."""
UNCHECKED = "; whether the implicit gradient is valid here (H + λI positive definite) was not measured"
"""What is said of the implicit method where its premise is not known to hold."""


def verdicts(settings: Sequence[Setting]) -> list[tuple[Setting, list[str]]]:
    """Sentences on the settings that hold the most, those in which MAML meets an implicit method first."""
    ranked = sorted(settings, key=lambda setting: (_pair(setting) is None, -len(setting.measurements)))
    told = ((setting, verdict(setting)) for setting in ranked)
    return list(islice(((setting, sentences) for setting, sentences in told if sentences), SETTINGS))


def verdict(setting: Setting) -> list[str]:
    """Two or three sentences: how memory grows, what the methods cost at the largest K, and which to choose when.

    Where MAML and an implicit method were not both measured, how memory and time grow, and how large errors are; of
    times that were disturbed nothing.
    """
    pair = _pair(setting)
    if pair is None:
        errors = [sentence for name in _ERRORS if (sentence := accuracy(setting, name))]
        timed = [] if any(disturbed(setting, curve) for curve in setting.curves) else [growth(setting, TIME)]
        said = [growth(setting, MEMORY), *timed, *errors[:1]]
        return [sentence for sentence in said if sentence]
    maml, implicit = pair
    sentences = [_growth(setting, maml, implicit), _at_last(setting, maml, implicit), _advice(setting, maml, implicit)]
    return [sentence for sentence in sentences if sentence]


def _pair(setting: Setting) -> tuple[Curve, Curve] | None:
    """MAML, and of the implicit methods the one of least memory, of these that of least error, of these the fastest.

    All at the largest K, and by what all of them were measured in there.
    """
    if setting.variable != STEPS:
        return None
    maml = next((curve for curve in setting.curves if curve.estimator == "maml" and curve.points(MEMORY)), None)
    rivals = [c for c in setting.curves if is_implicit(c.estimator) and c.points(MEMORY)] if maml else []
    if maml is None or not rivals:
        return None
    last = max(max(curve.points(MEMORY)) for curve in rivals)
    rivals = [curve for curve in rivals if last in curve.points(MEMORY)]
    least = min(_rounded(curve.medians(MEMORY)[last]) for curve in rivals)
    rivals = [curve for curve in rivals if _rounded(curve.medians(MEMORY)[last]) == least]
    told_apart = [name for name in _ERRORS if all(last in curve.points(name) for curve in rivals)]
    if all(last in curve.points(TIME) for curve in rivals) and not _disturbed(setting, rivals, [last]):
        told_apart.append(TIME)
    return maml, min(rivals, key=lambda curve: [curve.medians(name)[last] for name in told_apart])


def _rounded(number_of_bytes: float) -> float:
    return float(f"{number_of_bytes:.2g}")


def _growth(setting: Setting, maml: Curve, implicit: Curve) -> str | None:
    laws = {label: law for (label, _), law in scalings(setting, [MEMORY]).items()}
    if maml.label not in laws or implicit.label not in laws:
        return None
    low, high = laws[implicit.label].first[0], laws[implicit.label].last[0]
    return (
        f"Peak memory of {quoted(implicit.label)} {laws[implicit.label].words()} (K = {low} to {high}); "
        f"that of {quoted(maml.label)} {laws[maml.label].words()}."
    )


def _at_last(setting: Setting, maml: Curve, implicit: Curve) -> str | None:
    memory = _ratios(maml, implicit, MEMORY)
    if not memory:
        return None
    last = max(memory)
    seconds = _ratios(maml, implicit, TIME).get(last)
    busy = f" ({BUSY})" if _disturbed(setting, (maml, implicit), [last]) else ""
    time = "" if seconds is None else f" and {_of(seconds, 'its time')}{busy}"
    off = _error(implicit, last)
    tail = "" if off is None else f"; its gradient is off by {error(off[0])}, relative to {off[1]}"
    return (
        f"At K = {int(last)}, {quoted(implicit.label)} needs {_of(memory[last], f'the memory of {quoted(maml.label)}')}"
        f"{time}{tail}."
    )


def _advice(setting: Setting, maml: Curve, implicit: Curve) -> str | None:
    memory, seconds = _ratios(maml, implicit, MEMORY), _ratios(maml, implicit, TIME)
    lost = sorted(maml.failures(MEMORY).keys() & implicit.points(MEMORY).keys())
    premise = UNCHECKED if unchecked(setting) else ""
    if lost:
        return f"Where {quoted(maml.label)} failed, at {STEPS.at(*lost)}, {quoted(implicit.label)} did not{premise}."
    if not memory:
        return None
    ratio, slower = memory[max(memory)], median(seconds.values()) if seconds else None
    is_busy = _disturbed(setting, (maml, implicit), seconds)
    over = f"median over K, {BUSY}" if is_busy else "median over K"
    if ratio > 1 - ABOUT_EQUAL:
        saving = f"{quoted(implicit.label)} saves no memory worth the name up to K = {int(max(memory))}"
        if slower is None or is_busy:
            return f"{saving}."
        if slower >= 1 - ABOUT_EQUAL:
            return f"{saving}: here {quoted(maml.label)} is the choice."
        return f"{saving}, but is faster ({over}): {_where_acceptable(implicit, premise)}."
    since = _since(memory)
    where = "at every K measured" if since == min(memory) else f"from K = {int(since)} on"
    saving = f"{quoted(implicit.label)} is the smaller {where}"
    if slower is None:
        return f"{saving}{premise}."
    if slower > 1 + ABOUT_EQUAL:
        return (
            f"{saving}, but slower ({number(slower, 2)} times the time, {over}): choose it where memory binds{premise}."
        )
    pace = "about as fast" if slower >= 1 - ABOUT_EQUAL else "faster"
    return f"{saving}, and {pace} ({over}): {_where_acceptable(implicit, premise)}."


def _where_acceptable(implicit: Curve, premise: str) -> str:
    """Advice that rests on the implicit method's error, measured or not."""
    if any(implicit.points(name) for name in _ERRORS):
        return f"choose it where its error is acceptable{premise}"
    either = " either" if premise else ""
    return f"choose it where its error, which was not measured here, is acceptable{premise}{either}"


def _disturbed(setting: Setting, curves: Iterable[Curve], values: Collection[float]) -> bool:
    """Whether other processes disturbed any of the curves' times there."""
    return not all(disturbed(setting, curve).keys().isdisjoint(values) for curve in curves)


def _since(ratios: Mapping[float, float]) -> float:
    """The least K from which on the ratio stays below 1; its last is."""
    since = max(ratios)
    for k in sorted(ratios, reverse=True):
        if ratios[k] >= 1:
            break
        since = k
    return since


def _ratios(maml: Curve, implicit: Curve, metric: str) -> dict[float, float]:
    base, head = maml.medians(metric), implicit.medians(metric)
    return {k: head[k] / base[k] for k in sorted(base.keys() & head.keys()) if base[k] > 0}


def _error(curve: Curve, k: float) -> tuple[float, str] | None:
    held = [(curve.medians(name)[k], what) for name, what in _ERRORS.items() if k in curve.medians(name)]
    return held[0] if held else None


def _of(ratio: float, whole: str) -> str:
    return f"{number(100 * ratio, 2)} % of {whole}" if ratio < 2 else f"{number(ratio, 2)} times {whole}"
