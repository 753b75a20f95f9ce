"""Causes, one kind of them a file; simple ones come before those in which more numbers are fitted."""

from harness.validation.causes import linear, parameters, settings, structure
from harness.validation.hypothesis import Family

TIERS: tuple[tuple[Family, ...], ...] = (
    (
        structure.sign,
        structure.first_order,
        structure.detached,
        structure.other_method,
        settings.neighbouring_steps,
        settings.proximal,
        structure.data,
        linear.exact_solves,
        linear.sign,
        settings.solvers,
        structure.not_adapted,
    ),
    (
        settings.factor,
        parameters.parameter_by_parameter,
        structure.truncated,
        structure.first_order_at_some_step,
        linear.inexact_solves,
        linear.strength,
        linear.iterate,
        settings.step_size,
        settings.strength,
        settings.inner_loss,
        settings.other_steps,
        linear.step_size,
        linear.inner_strength,
        settings.momentum,
        structure.backprop_through_some_steps,
    ),
    (linear.strength_and_factor, linear.series, linear.inexact_strength),
    (linear.inexact_strength_and_factor, parameters.factor_by_factor, settings.length),
)
"""By how many numbers are fitted: none, one, two, more."""
