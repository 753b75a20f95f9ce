"""Estimators of the meta-gradient d/dθ L(φ(θ)), one family a file."""

from harness.estimators.base import BatchMetaGradient, Diagnostics, Estimate, Estimator, MetaGradient

__all__ = ["BatchMetaGradient", "Diagnostics", "Estimate", "Estimator", "MetaGradient"]
