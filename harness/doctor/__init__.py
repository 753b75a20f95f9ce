"""The meters tested against truths planted for them, and what this machine can and cannot measure.

A check takes the meter it tests, plants something whose size is known by construction, and returns a
:class:`Finding`. Importing this imports no torch: the checks run in worker processes.
"""

from harness.doctor.examination import examine
from harness.doctor.finding import Examination, Finding, Quantity

__all__ = ["Examination", "Finding", "Quantity", "examine"]
