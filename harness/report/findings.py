"""What the numbers say, in sentences computed from them. Where they do not suffice there is no sentence."""

from collections.abc import Mapping

from harness import scaling
from harness.cell import Status
from harness.report.crossover import crossover
from harness.report.forecast import forecast_finding
from harness.report.laws import scalings
from harness.report.quality import disturbed, quality
from harness.report.settings import Curve, Setting
from harness.report.validity import in_question, negative_curvature, validity
from harness.report.variables import STEPS, TASKS, Variable
from harness.report.words import error, listed, names, quoted
from harness.scaling import Law, Scaling
from harness.statistics import Summary
from harness.units import number, quantity

REFERENCES = {
    "backprop_relative_error": "exact backprop through the same K steps",
    "implicit_relative_error": "the exact implicit gradient",
}
_COUNTED = {STEPS: scaling.INNER_STEPS, TASKS: scaling.TASKS}
"""What a law may be in, in words."""
_GROWING = {"peak_bytes": ("Peak memory", "B"), "wall_seconds": ("Wall time", "s")}
SEEDS_TO_COMPARE = 4
"""Fewest samples whose quartiles may tell two estimators apart."""
WORTH_COMPARING = 1.05
"""Least ratio of the most to the least that is mentioned."""
_FAILED = {
    Status.OOM: "ran out of memory",
    Status.TIMEOUT: "hit the time limit",
    Status.CRASH: "crashed",
    Status.DIVERGED: "diverged",
    Status.SKIPPED: "was skipped",
}


def findings(setting: Setting) -> list[str]:
    """The setting's findings, the figures' in their order first."""
    sentences = [
        *(accuracy(setting, metric) for metric in REFERENCES),
        *(crossover(setting) if setting.study else ()),
        *(growth(setting, metric) for metric in _GROWING),
        forecast_finding(setting),
        rounding(setting),
        negative_curvature(setting),
        *(validity(setting) if setting.study and in_question(setting) else ()),
        *quality(setting),
        failures(setting),
    ]
    return [sentence for sentence in sentences if sentence]


def accuracy(setting: Setting, metric: str) -> str | None:
    """Relative errors against one reference at the largest value measured, smallest first; none over work."""
    if setting.variable.name == "evaluations":  # which differs from estimator to estimator
        return None
    points = {curve: curve.points(metric) for curve in setting.curves}
    last = max((value for by_value in points.values() for value in by_value), default=None)
    if last is None:
        return None
    at_last = {curve: by_value[last] for curve, by_value in points.items() if last in by_value}
    ranked = sorted(at_last.items(), key=lambda item: item[1].median)
    errors = listed([f"{quoted(curve.label)} {error(point.median)}" for curve, point in ranked])
    counts = {point.count for point in at_last.values()}
    median = f" (median of {counts.pop()} seeds)" if counts != {1} and len(counts) == 1 else ""
    sentence = f"Relative error against {REFERENCES[metric]} at {setting.variable.at(last)}{median}: {errors}."
    more = _against_maml(at_last) if metric == "implicit_relative_error" else _by_construction(at_last)
    return " ".join([sentence, *more])


def _by_construction(points: Mapping[Curve, Summary]) -> list[str]:
    """That replay is no evidence for itself."""
    labels = [curve.label for curve in points if curve.estimator == "maml-replay"]
    if not labels:
        return []
    return [f"The reference is computed by replay: the error of {names(labels)} is rounding alone, by construction."]


def _against_maml(points: Mapping[Curve, Summary]) -> list[str]:
    """Who is nearer to the implicit gradient than MAML and who is farther, where the quartiles do not overlap."""
    maml = next((point for curve, point in points.items() if curve.estimator == "maml"), None)
    if maml is None or min(point.count for point in points.values()) < SEEDS_TO_COMPARE:
        return []
    nearer = [curve.label for curve, point in points.items() if point.high < maml.low]
    farther = [curve.label for curve, point in points.items() if point.low > maml.high]
    return [
        f"Clearly {word} than MAML: {names(labels)}."
        for word, labels in (("nearer", nearer), ("farther off", farther))
        if labels
    ]


def growth(setting: Setting, metric: str) -> str | None:
    """The law in K of each estimator, and how far apart they are at the largest K that all of them reach undisturbed.

    In a setting over tasks, the same of tasks.
    """
    title, unit = _GROWING[metric]
    counted, variable = _COUNTED.get(setting.variable), setting.variable
    laws = {label: law for (label, _), law in scalings(setting, [metric]).items()}
    if counted is None or not laws:
        return None
    first, last = min(law.first[0] for law in laws.values()), max(law.last[0] for law in laws.values())
    where = {
        label: ""
        if law.law is Law.NEITHER or (law.first[0], law.last[0]) == (first, last)
        else f" ({variable.between(law.first[0], law.last[0])})"
        for label, law in laws.items()
    }
    clauses = [
        f"{quoted(label)} {law.words(counted)}{where[label]}" for label, law in laws.items() if law.law is not Law.FLAT
    ]
    clauses += _flat({label: law for label, law in laws.items() if law.law is Law.FLAT}, unit, where)
    sentence = f"{title} from {variable.between(first, last)}: {'; '.join(clauses)}."
    medians = {curve: curve.medians(metric) for curve in setting.curves}
    busy = {curve: disturbed(setting, curve).keys() if metric == "wall_seconds" else () for curve in setting.curves}
    certain = {curve: {k: v for k, v in of.items() if k not in busy[curve]} for curve, of in medians.items()}
    return " ".join([sentence, *_extremes(certain, unit, variable)])


def _flat(laws: Mapping[str, Scaling], unit: str, where: Mapping[str, str]) -> list[str]:
    """The flat ones, those alike in one clause."""
    alike: dict[tuple[str, str], list[str]] = {}
    for label, law in laws.items():
        level = quantity(law.least, unit, digits=2)
        alike.setdefault((level, where[label]), []).append(label)
    clauses: list[str] = []
    for (_, there), labels in alike.items():
        low = quantity(min(laws[label].least for label in labels), unit)
        high = quantity(max(laws[label].most for label in labels), unit)
        level = f"at {low}" if low == high else f"({low} to {high})"
        clauses.append(f"{names(labels)} {'is' if len(labels) == 1 else 'are'} flat {level}{there}")
    return clauses


def _extremes(medians: Mapping[Curve, Mapping[float, float]], unit: str, variable: Variable) -> list[str]:
    """The least and the most at the largest value that all estimators measured reach."""
    measured = {curve.label: values for curve, values in medians.items() if values}
    reached = [set(values) for values in measured.values()]
    shared = max(set[float].intersection(*reached) if reached else (), default=None)
    if shared is None:
        return []
    there = {label: values[shared] for label, values in measured.items()}
    most_label, least_label = max(there, key=lambda label: there[label]), min(there, key=lambda label: there[label])
    most, least = there[most_label], there[least_label]
    if least <= 0 or most < WORTH_COMPARING * least:
        return []
    times = number(most / least, digits=2)
    return [
        f"At {variable.at(shared)}, {quoted(most_label)} needs the most, {quantity(most, unit)}: {times} times the "
        f"least ({quoted(least_label)}, {quantity(least, unit)})."
    ]


def rounding(setting: Setting) -> str | None:
    """What the dtype alone costs in accuracy at the largest K measured."""
    points = {curve.label: curve.medians("rounding_relative_error") for curve in setting.curves}
    last = max((value for by_value in points.values() for value in by_value), default=None)
    if last is None:
        return None
    errors = [f"{quoted(label)} {error(values[last])}" for label, values in points.items() if last in values]
    dtypes = f"{setting.facts['dtype']} against float64"
    return f"Rounding alone ({dtypes}, same estimator) at {setting.variable.at(last)}: {listed(errors)}."


def failures(setting: Setting) -> str | None:
    """Who failed how, and where."""
    clauses: list[str] = []
    for curve in setting.curves:
        by_status: dict[Status, list[float]] = {}
        for value, status in curve.failures().items():
            by_status.setdefault(status, []).append(value)
        clauses += [
            f"{quoted(curve.label)} {_FAILED[status]} at {curve.variable.at(*values)}"
            for status, values in by_status.items()
        ]
    return f"{'; '.join(clauses)}." if clauses else None
