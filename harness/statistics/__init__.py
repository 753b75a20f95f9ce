"""What samples say: summaries, laws, verdicts."""

from harness.statistics.fits import (
    EXPONENTS,
    Line,
    OffsetPowerLaw,
    PowerLaw,
    fit_line,
    fit_offset_power_law,
    fit_power_law,
    t_quantile,
)
from harness.statistics.paired import Comparison, Verdict, compare, compare_paired, required_pairs
from harness.statistics.series import Interval, Remark, bootstrap_interval, mad, outliers, remarks
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
    "bootstrap_interval",
    "compare",
    "compare_paired",
    "fit_line",
    "fit_offset_power_law",
    "fit_power_law",
    "mad",
    "outliers",
    "remarks",
    "required_pairs",
    "summarise",
    "t_quantile",
]
