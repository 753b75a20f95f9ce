"""A user's meta-gradient held against the exact one, with the likely cause where it is off."""

from harness.validation.compare import default_tolerance, validate
from harness.validation.report import Cause, Draw, ValidationReport

__all__ = ["Cause", "Draw", "ValidationReport", "default_tolerance", "validate"]
