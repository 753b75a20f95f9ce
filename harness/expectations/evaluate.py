"""Claims tested on the cells of a run."""

from collections.abc import Hashable, Iterator, Sequence

from harness.cell import Measurement, Status
from harness.expectation import Expectation, setting
from harness.expectations.growth import growth_verdicts
from harness.expectations.verdict import Outcome, Verdict, held, nearest_to_failing
from harness.expectations.words import Places
from harness.statistics import summarise
from harness.store import LoadedRun
from harness.units import quantity


def verdicts(run: LoadedRun, expectations: Sequence[Expectation] | None = None) -> list[Verdict]:
    """A verdict for every demand of every claim, in their order.

    A claim is tested on what the run holds. The number of a cell is the median of its samples. A cell that failed or
    was skipped fails the claims about its numbers, unless they allow for it; a claim about what was not measured is
    not tested.

    Args:
        run: Any run.
        expectations: The claims; those the run was made with by default.
    """
    claims = run.manifest.expectations if expectations is None else expectations
    return [verdict for claim in claims for verdict in _verdicts(claim, run.measurements)]


def _verdicts(of: Expectation, measurements: Sequence[Measurement]) -> Iterator[Verdict]:
    about = [each for each in measurements if of.selects(each.cell)]
    places = Places.among(of, about)
    if of.metric is None:
        yield _status(places, about)
    if of.value:
        yield _value(places, about, measurements)
    numbers, failed, missing = _numbers(of, about)
    for bound, found in growth_verdicts(places, numbers):
        every = [*_failures(places, bound, failed), *_missing(places, bound, missing), *found]
        yield nearest_to_failing(every or [_untested(of, bound)])


def _status(places: Places, about: Sequence[Measurement]) -> Verdict:
    of = places.claim
    bound = " or ".join(of.status)
    found = [
        Verdict(
            claim=of.claim,
            bound=bound,
            outcome=Outcome.PASS if each.status in of.status else Outcome.FAIL,
            measured=each.ending,
            where=places.name(each),
        )
        for each in about
    ]
    return nearest_to_failing(found or [_untested(of, bound)])


def _value(places: Places, about: Sequence[Measurement], measurements: Sequence[Measurement]) -> Verdict:
    of = places.claim
    assert of.value is not None
    bound = of.value.words(of.unit) + (f" × that of {of.ratio_to}" if of.ratio_to else "")
    numbers, failed, missing = _numbers(of, about)
    found = [*_failures(places, bound, failed), *_missing(places, bound, missing)]
    alike: dict[Hashable, list[Measurement]] = {}
    for each in measurements if of.ratio_to else ():
        alike.setdefault(setting(each.cell), []).append(each)
    for each, number in numbers:
        if not of.ratio_to:
            found.append(_bounded(places, bound, each, number))
            continue
        others = [other for other in alike[setting(each.cell)] if of.is_reference(other.cell, each.cell)]
        beside, beside_failed, beside_missing = _numbers(of, others)
        found += [*_failures(places, bound, beside_failed), *_missing(places, bound, beside_missing)]
        found += [_bounded(places, bound, each, _ratio(number, other)) for _, other in beside]
        if not others:
            found.append(_untested(of, bound, f"no {of.ratio_to} at {places.name(each)}"))
    return nearest_to_failing(found or [_untested(of, bound)])


def _bounded(places: Places, bound: str, measurement: Measurement, number: float) -> Verdict:
    of = places.claim
    assert of.value is not None
    within, room = held(number, of.value)
    return Verdict(
        claim=of.claim,
        bound=bound,
        outcome=Outcome.PASS if within else Outcome.FAIL,
        measured=quantity(number, of.unit) + (f" × that of {of.ratio_to}" if of.ratio_to else ""),
        where=places.name(measurement),
        value=number,
        margin=room,
    )


def _numbers(
    of: Expectation, about: Sequence[Measurement]
) -> tuple[list[tuple[Measurement, float]], list[Measurement], list[Measurement]]:
    """The cells with their numbers, those that failed, and those that ended well without one."""
    failed = [each for each in about if each.status not in (Status.OK, *of.status)]
    well = [each for each in about if each.status is Status.OK]
    metric = of.metric or ""
    numbers = [(each, summarise(each.metrics[metric]).median) for each in well if each.metrics.get(metric)]
    return numbers, failed, [each for each in well if not each.metrics.get(metric)]


def _failures(places: Places, bound: str, failed: Sequence[Measurement]) -> Iterator[Verdict]:
    for each in failed:
        yield Verdict(places.claim.claim, bound, Outcome.FAIL, each.ending, places.name(each))


def _missing(places: Places, bound: str, missing: Sequence[Measurement]) -> Iterator[Verdict]:
    of = places.claim
    for each in missing:
        why = each.notes.get(of.metric or "", f"{of.metric} was not measured")
        yield Verdict(of.claim, bound, Outcome.UNTESTED, why, places.name(each))


def _untested(of: Expectation, bound: str, why: str = "no cell of it was measured") -> Verdict:
    return Verdict(of.claim, bound, Outcome.UNTESTED, why)


def _ratio(number: float, other: float) -> float:
    if number == other:
        return 1.0
    return number / other if other else float("inf")
