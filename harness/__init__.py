"""imaml-bench: MAML against implicit MAML, measured.

Everything public is here, and imported only when it is used: ``import harness`` imports no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.bilevel import Problem, Task
    from harness.errors import BadInput
    from harness.estimators import Diagnostics, Estimator, MetaGradient
    from harness.frame import read_run
    from harness.measure import run
    from harness.parts import estimator, problem

__all__ = [
    "BadInput",
    "Diagnostics",
    "Estimator",
    "MetaGradient",
    "Problem",
    "Task",
    "estimator",
    "problem",
    "read_run",
    "run",
]

_HOMES = {
    "BadInput": "harness.errors",
    "Diagnostics": "harness.estimators",
    "Estimator": "harness.estimators",
    "MetaGradient": "harness.estimators",
    "Problem": "harness.bilevel",
    "Task": "harness.bilevel",
    "estimator": "harness.parts",
    "problem": "harness.parts",
    "read_run": "harness.frame",
    "run": "harness.measure",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
