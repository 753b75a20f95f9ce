"""The paper's Table 1 beside exponents fitted to a run: work and error against conditioning, memory against K."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from harness.cell import Measurement, Status
from harness.report.crossover import METRIC
from harness.report.tables import Row, Table
from harness.report.theory import conditioning
from harness.report.variables import HVP_GRADIENTS, evaluations
from harness.statistics import PowerLaw, fit_line, fit_power_law

DELTA = 1e-3
"""The relative error against the exact implicit gradient that work is counted up to."""
FALLING = (1e-10, 1.0)
"""Errors between which the rate is fitted: above rounding, below the start."""
ABOVE_FLOOR = 3.0
"""How many times the least error of a curve an error is to be, for the rate not to be that of having arrived."""
FEWEST = 3
"""Points through which an exponent may be fitted."""
FLAT = 0.01
"""Size of an exponent up to which R² says nothing."""
STEPS_OVER = 8
"""Smallest ratio of the largest K to the smallest over which memory's exponent may be fitted."""

CAPTION = (
    "Exponents are slopes of straight lines through logarithms, with 95 % confidence intervals by Student's t. Work: "
    f"gradient evaluations (a Hessian-vector product counts as {HVP_GRADIENTS}) until the relative error against the "
    f"exact implicit gradient is {DELTA:g}, interpolated between the K measured, least over the numbers of CG steps, "
    "against the condition number κ_G of the inner problem. Rate: what the logarithm of the error falls by in an inner "
    "step, against κ_G. Memory: peak bytes against K; its exponent is 1 only where what grows outweighs the rest. "
    "The paper's work for iMAML, √κ, presumes an accelerated inner solver; by gradient descent κ is to be expected."
)


@dataclass(frozen=True)
class Law:
    """A row of the paper's table, as exponents."""

    title: str
    work: str
    rate: str
    memory: str


_LAWS = {
    ("maml", "gd"): Law("MAML, GD", "1", "−1", "1"),
    ("maml", "nesterov"): Law("MAML, Nesterov", "½", "−½", "1"),
    ("maml-truncated", "gd"): Law("truncated backprop, GD", "1", "−1", "0"),
    ("imaml-cg", "gd"): Law("iMAML, GD inside", "1", "−1", "0"),
    ("imaml-cg", "nesterov"): Law("iMAML, Nesterov inside", "½", "−½", "0"),
}
_HEADERS = [
    *("algorithm", "work in κ: theory", "measured", "rate of the error in κ: theory", "measured"),
    *("memory in K: theory", "measured"),
]

Method = tuple[str, str]
"""Estimator and inner solver, by their names."""


def table1(measurements: Iterable[Measurement]) -> Table | None:
    """A row a method that is in the paper's table; ``None`` where no exponent of work can be fitted."""
    good = [m for m in measurements if m.status is Status.OK]
    works, rates, memory = _works(good), _rates(good), _memory(good)
    rows = [
        Row(False, [law.title, law.work, _written(works[method]), law.rate, _written(rates[method]), law.memory,
                    _written(memory[method])])
        for method, law in _LAWS.items()
        if any(method in laws and laws[method] for laws in (works, rates, memory))
    ]  # fmt: skip
    return Table(_HEADERS, rows) if any(works.values()) else None


def reach(points: Mapping[float, float], goal: float) -> float | None:
    """The work at which the error first comes down to ``goal``, on straight lines through the error's logarithms.

    ``None`` where it never does, or has already at the least work measured.
    """
    for (before, above), (after, below) in pairwise(sorted(points.items())):
        if above > goal >= below:
            share = 1.0 if below <= 0 else np.log(above / goal) / np.log(above / below)
            return float(before + share * (after - before))
    return None


def decay(points: Mapping[float, float]) -> float | None:
    """What ln(error) falls by a step on its way down; ``None`` where too few points are on it."""
    least = max(FALLING[0], ABOVE_FLOOR * min(points.values()))
    falling = {steps: error for steps, error in points.items() if least <= error <= FALLING[1]}
    if len(falling) < FEWEST:
        return None
    slope = -fit_line(list(falling), [float(np.log(error)) for error in falling.values()]).slope
    return slope if slope > 0 else None


def _works(measurements: Iterable[Measurement]) -> dict[Method, PowerLaw | None]:
    best: dict[Method, dict[float, float]] = {method: {} for method in _LAWS}
    for (method, kappa), curves in _curves(measurements).items():
        reached = [work for points in curves if (work := reach(dict(map(_work_and_error, points)), DELTA)) is not None]
        if reached:
            best[method][kappa] = min(reached)
    return {method: _fitted(values) for method, values in best.items()}


def _rates(measurements: Iterable[Measurement]) -> dict[Method, PowerLaw | None]:
    best: dict[Method, dict[float, float]] = {method: {} for method in _LAWS}
    for (method, kappa), curves in _curves(measurements).items():
        decays = [rate for points in curves if (rate := decay(dict(map(_steps_and_error, points)))) is not None]
        if decays:
            best[method][kappa] = max(decays)
    return {method: _fitted(values) for method, values in best.items()}


def _memory(measurements: Iterable[Measurement]) -> dict[Method, PowerLaw | None]:
    found: dict[Method, dict[float, float]] = {method: {} for method in _LAWS}
    for m in measurements:
        if _method(m) in _LAWS and m.metrics.get("peak_bytes"):
            found[_method(m)].setdefault(m.cell.steps, median(m.metrics["peak_bytes"]))
    wide = {k: v if v and max(v) >= STEPS_OVER * min(v) else {} for k, v in found.items()}
    return {method: _fitted(values) for method, values in wide.items()}


def _curves(measurements: Iterable[Measurement]) -> dict[tuple[Method, float], list[list[Measurement]]]:
    """The cells with work and error by method and κ_G, those of one configuration together, by ascending K."""
    groups: dict[tuple[Method, float], dict[str, list[Measurement]]] = {}
    for m in sorted(measurements, key=lambda m: m.cell.steps):
        kappa = conditioning(m.cell)
        if _method(m) in _LAWS and kappa is not None and m.metrics.get(METRIC) and evaluations(m) is not None:
            configurations = groups.setdefault((_method(m), float(f"{kappa:.6g}")), {})
            configurations.setdefault(m.cell.problem.content + m.cell.estimator.content, []).append(m)
    return {of: list(configurations.values()) for of, configurations in groups.items()}


def _method(measurement: Measurement) -> Method:
    part = measurement.cell.estimator
    return part.name, str(part.parameters.get("inner", "gd")).partition("(")[0]


def _work_and_error(measurement: Measurement) -> tuple[float, float]:
    work = evaluations(measurement)
    assert work is not None
    return work, median(measurement.metrics[METRIC])


def _steps_and_error(measurement: Measurement) -> tuple[float, float]:
    return measurement.cell.steps, median(measurement.metrics[METRIC])


def _fitted(values: Mapping[float, float]) -> PowerLaw | None:
    return fit_power_law(list(values), list(values.values())) if len(values) >= FEWEST else None


def _written(law: PowerLaw | None) -> str:
    if law is None:
        return "too few points"
    ends = (law.exponent, law.exponent - law.half_width, law.exponent + law.half_width)
    exponent, low, high = (f"{end:z.2f}" for end in ends)
    r_squared = f", R² {law.r_squared:.3f}" if abs(law.exponent) > FLAT else ""
    return f"{exponent} ({low} to {high}; {law.count} points{r_squared})".replace("-", "−")
