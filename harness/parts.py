"""Parts by name, for users."""

from typing import Any

from harness.bilevel import Problem
from harness.estimators import Estimator
from harness.registry import ESTIMATORS, PROBLEMS


def problem(name: str, **parameters: Any) -> Problem:
    """The problem called ``name``, as in ``problem("linear", dim=50, kappa=100.0)``.

    Raises:
        BadInput: No such problem or parameter, or a value out of its range.
    """
    return PROBLEMS.create(name, **parameters)


def estimator(name: str, **parameters: Any) -> Estimator:
    """The estimator called ``name``, as in ``estimator("imaml-cg", steps=25, lr="auto", lam=0.1, cg_steps=5)``.

    Raises:
        BadInput: No such estimator or parameter, or a value out of its range.
    """
    return ESTIMATORS.create(name, **parameters)
