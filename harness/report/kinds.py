"""Which figures there are, and what each is of: one metric a panel, against inner steps or what a study varies."""

from dataclasses import dataclass

from harness.cell import METRICS, Status
from harness.report.forecast import MEASURED, forecast_line
from harness.report.settings import Setting
from harness.report.validity import in_question
from harness.report.variables import STEPS
from harness.units import quantity


@dataclass(frozen=True)
class Panel:
    """One metric against what is varied."""

    metric: str
    title: str
    signed: bool = False
    """Whether it may be of either sign, so that no logarithm can be taken."""

    @property
    def unit(self) -> str:
        """The metric's."""
        return METRICS[self.metric].unit


@dataclass(frozen=True)
class Kind:
    """A figure of the paper as drawn here, or a study's."""

    name: str
    """Of its files."""
    title: str
    caption: str
    panels: tuple[Panel, ...]
    value_label: str = ""

    @property
    def has_memory(self) -> bool:
        """Whether a panel of it is of peak memory."""
        return any(panel.metric == MEASURED for panel in self.panels)


FIGURE_2A = Kind(
    "figure2a",
    "Figure 2a. Accuracy of the meta-gradient",
    "Relative error of the meta-gradient against inner steps K, in float64: median over seeds, with a band from the "
    "first to the third quartile.",
    (
        Panel("backprop_relative_error", "against exact backprop\nthrough the same K steps"),
        Panel("implicit_relative_error", "against the exact\nimplicit gradient"),
    ),
    "relative error",
)
FIGURE_2B = Kind(
    "figure2b",
    "Figure 2b. Memory and time",
    "Peak memory over the baseline (1 MB is 1,000,000 bytes) and wall time of one meta-gradient of the meta-batch "
    "against inner steps K: median of the repetitions, with a band from the first to the third quartile.",
    (Panel("peak_bytes", "peak memory"), Panel("wall_seconds", "wall time of one meta-gradient")),
)
_BAND = "the line is the median, the band goes from the first to the third quartile"
ERROR = Kind(
    "accuracy",
    "Accuracy of the meta-gradient",
    f"Relative error of the meta-gradient in float64: {_BAND}. A dashed line without marks is theory's, where there is "
    "one. A ring marks a point at which the smallest eigenvalue of H + λI, estimated from below, is "
    "not above 0 or CG met negative curvature, in any seed.",
    FIGURE_2A.panels,
    "relative error",
)
COST = Kind(
    "cost",
    "Memory and time",
    f"Peak memory over the baseline, and wall time: {_BAND}.",
    FIGURE_2B.panels,
)
ROUNDING = Kind(
    "rounding",
    "Error of the method and of rounding",
    "Relative error of the meta-gradient, by the method (in float64, against a reference) and by rounding (the same "
    f"estimator against itself in float64): {_BAND}.",
    (*FIGURE_2A.panels, Panel("rounding_relative_error", "by rounding alone,\nagainst the same in float64")),
    "relative error",
)
VALIDITY = Kind(
    "validity",
    "Validity of the implicit method",
    "How far the inner problem is from solved, which should be near 0, and the smallest eigenvalue of H + λI, which "
    f"has to be above 0: {_BAND}.",
    (
        Panel("inner_residual", "inner residual ‖∇G(φ_K)‖ / ‖∇G(θ)‖"),
        Panel("smallest_curvature", "smallest eigenvalue of H + λI", signed=True),
    ),
)
WANT_OF_MEMORY = (Status.OOM, Status.SKIPPED)
"""How cells end that need more memory than there is."""
OF_THE_PAPER = (FIGURE_2A, FIGURE_2B)
OF_STUDIES = (ERROR, COST, ROUNDING, VALIDITY)


def panels(kind: Kind, setting: Setting) -> list[Panel]:
    """The figure's panels for which the setting holds a number.

    Validity is drawn over K alone, and where it is a question. Where rounding was measured, its figure has the errors.
    """
    if kind == VALIDITY and not (setting.variable == STEPS and in_question(setting)):
        return []
    if kind in (ERROR, ROUNDING) and _rounding_is_known(setting) != (kind == ROUNDING):
        return []
    return [panel for panel in kind.panels if any(curve.points(panel.metric) for curve in setting.curves)]


def _rounding_is_known(setting: Setting) -> bool:
    return any(curve.points("rounding_relative_error") for curve in setting.curves)


def memory_limit(setting: Setting) -> int | None:
    """The bytes of memory there are; ``None`` where it is not known, and where nothing came near them."""
    limit = setting.memory_bytes
    if limit is None:
        return None
    stopped = any(each.status in WANT_OF_MEMORY for each in setting.measurements)
    beyond = any(value > limit for curve in setting.curves for value in forecast_line(curve).values())
    return limit if stopped or beyond else None


def caption(kind: Kind, setting: Setting) -> str:
    """What is seen in the setting's figure."""
    found = [kind.caption]
    if kind.has_memory and any(map(forecast_line, setting.curves)):
        found.append("Dashed without marks, the peak as forecast from fake tensors.")
    if kind.has_memory and (limit := memory_limit(setting)):
        found.append(
            f"The dotted line is all the memory there is, {quantity(limit, 'B')}; on it, the cells that ran out of it "
            "or were not started for want of it."
        )
    return " ".join(found)
