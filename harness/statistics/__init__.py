"""What samples say: summaries, laws, verdicts."""

from harness.statistics.fits import (
    EXPONENTS,
    Line,
    OffsetPowerLaw,
    PowerLaw,
    fit_line,
    fit_offset_power_law,
    fit_power_law,
)
from harness.statistics.series import Interval, Remark, mad, median_interval, outliers, remarks
from harness.statistics.summary import Summary, summarise
from harness.statistics.verdict import Comparison, Verdict

__all__ = [
    "EXPONENTS",
    "Comparison",
    "Interval",
    "Line",
    "OffsetPowerLaw",
    "PowerLaw",
    "Remark",
    "Summary",
    "Verdict",
    "fit_line",
    "fit_offset_power_law",
    "fit_power_law",
    "mad",
    "median_interval",
    "outliers",
    "remarks",
    "summarise",
]
