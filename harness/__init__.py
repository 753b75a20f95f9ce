"""imaml-bench: MAML against implicit MAML, measured.

Everything public is here, and imported only when it is used: ``import harness`` imports no torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness import conformance
    from harness.bilevel import Problem, Task
    from harness.errors import BadInput
    from harness.estimators import Diagnostics, Estimator, MetaGradient
    from harness.frame import read_run
    from harness.measure import run
    from harness.parts import estimator, problem
    from harness.problems.module import ModuleProblem
    from harness.validation import ValidationReport, validate

    __version__: str

__all__ = [
    "BadInput",
    "Diagnostics",
    "Estimator",
    "MetaGradient",
    "ModuleProblem",
    "Problem",
    "Task",
    "ValidationReport",
    "__version__",
    "conformance",
    "estimator",
    "problem",
    "read_run",
    "run",
    "validate",
]

_HOMES = {
    "BadInput": "harness.errors",
    "Diagnostics": "harness.estimators",
    "Estimator": "harness.estimators",
    "MetaGradient": "harness.estimators",
    "ModuleProblem": "harness.problems.module",
    "Problem": "harness.bilevel",
    "Task": "harness.bilevel",
    "ValidationReport": "harness.validation",
    "estimator": "harness.parts",
    "problem": "harness.parts",
    "read_run": "harness.frame",
    "run": "harness.measure",
    "validate": "harness.validation",
}

_MODULES = {"conformance"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"harness.{name}")
    if name == "__version__":
        return version("imaml-bench")
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
