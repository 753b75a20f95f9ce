"""Causes, one kind of them a file; simple ones come before those in which more numbers are fitted."""

from harness.validation.causes import linear, parameters, settings, structure
from harness.validation.hypothesis import Family

PLAIN: tuple[Family, ...] = (
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
)
"""Nothing is fitted in these."""
FITTED: tuple[Family, ...] = (
    settings.factor,
    parameters.parameter_by_parameter,
    structure.truncated,
    structure.first_order_at_some_step,
    linear.inexact_solves,
    linear.strength,
)
"""A number is, that is read off or counted."""
SCALES = (
    settings.strength,
    settings.step_size,
    settings.inner_loss,
    linear.inner_strength,
    linear.step_size,
)
SEARCHED: tuple[Family, ...] = (
    linear.iterate,
    *(scale.usual for scale in SCALES),
    settings.other_steps,
    *SCALES,
    settings.momentum,
    structure.backprop_through_some_steps,
)
"""A number is, that takes many gradients to find."""
COMPOUND: tuple[Family, ...] = (
    linear.strength_and_factor,
    linear.series,
    linear.inexact_strength,
    linear.inexact_strength_and_factor,
    parameters.factor_by_factor,
    settings.length,
)
"""Several numbers are."""
