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
from harness.statistics.paired import Comparison, Verdict, compare, compare_paired, required_pairs
from harness.statistics.series import Interval, Remark, mad, median_interval, outliers, remarks
from harness.statistics.summary import Summary, summarise

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
    "compare",
    "compare_paired",
    "fit_line",
    "fit_offset_power_law",
    "fit_power_law",
    "mad",
    "median_interval",
    "outliers",
    "remarks",
    "required_pairs",
    "summarise",
]
