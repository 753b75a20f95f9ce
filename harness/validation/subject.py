"""What is validated: a function, with the inner problem it is said to solve."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from harness.bilevel import Problem, Task
from harness.cell import Reference, Scalar
from harness.errors import BadInput
from harness.estimators import Estimator
from harness.estimators.first_order import Fomaml
from harness.pytree import Params
from harness.registry import ESTIMATORS
from harness.validation.outputs import Function


@dataclass(frozen=True)
class Subject:
    """A function and its settings."""

    name: str
    function: Function
    loop: Estimator
    """Carries λ, K, α and the inner solver; K is 1 and α ``"auto"`` where the user left them open."""
    settings: Mapping[str, Any]
    """Those of λ, K, α and the inner solver that were said."""

    @property
    def steps(self) -> int | None:
        """K, where it was said."""
        return self.settings.get("steps")

    @property
    def shown(self) -> dict[str, Scalar | None]:
        """The settings for a report."""
        names = ("lam", "steps", "lr", "inner")
        return {name: _shown(self.settings.get(name)) for name in names}


def subject(
    fn: Function | Estimator | str, vs: Reference, given: Mapping[str, Any], parameters: dict[str, Any]
) -> tuple[Subject, dict[str, Any]]:
    """The subject, and those of ``parameters`` that are not its own.

    Args:
        fn: A function, an estimator or the name of one.
        vs: The reference, which decides what a function has to come with.
        given: Those of ``lam``, ``steps``, ``lr`` and ``inner`` that were given.
        parameters: More keywords, of a named estimator or of the problem.

    Raises:
        BadInput: ``fn`` is none of these, or a setting is missing, superfluous or out of its range.
    """
    if isinstance(fn, str):
        accepted = signature(ESTIMATORS.get(fn)).parameters
        own = {key: value for key, value in parameters.items() if key in accepted}
        estimator: Estimator = ESTIMATORS.create(fn, **given, **own)
        rest = {key: value for key, value in parameters.items() if key not in accepted}
        return _of_estimator(described(fn, own), estimator), rest
    if isinstance(fn, Estimator):
        if given:
            raise BadInput(f"{', '.join(given)}: the estimator has its own; leave it out")
        return _of_estimator(type(fn).__name__, fn), parameters
    require_subject(fn, f"fn: {fn!r}")
    return _of_function(fn, vs, given), parameters


def require_subject(fn: object, name: str) -> None:
    """What ``name`` stands for is a function or an estimator.

    Raises:
        BadInput: It is not; the message begins with ``name``.
    """
    if not isinstance(fn, Estimator) and (not callable(fn) or isinstance(fn, type)):
        raise BadInput(f"{name} is neither a function, nor an estimator, nor the name of one")


def _of_estimator(name: str, estimator: Estimator) -> Subject:
    def function(problem: Problem, task: Task, theta: Params) -> Params:
        return estimator.meta_gradient(problem, task, theta).grad

    settings = {key: getattr(estimator, key) for key in ("lam", "steps", "lr", "inner")}
    return Subject(name, function, estimator, settings)


def _of_function(fn: Function, vs: Reference, given: Mapping[str, Any]) -> Subject:
    needed = ("lam",) if vs == "implicit" else ("steps", "lr")
    missing = [key for key in needed if key not in given]
    if missing:
        raise BadInput(f"{' and '.join(missing)}: needed against '{vs}'; give what your function uses")
    settings: dict[str, Any] = {"lam": 0.0, **given}
    defaults: dict[str, Any] = {"steps": 1, "lr": "auto"}
    loop = Fomaml(**defaults | settings)
    return Subject(getattr(fn, "__name__", type(fn).__name__), fn, loop, settings)


def described(name: str, parameters: Mapping[str, Any]) -> str:
    """A part's name with its parameters, as in ``linear(dim=20)``."""
    listed = ", ".join(f"{key}={value}" for key, value in parameters.items())
    return f"{name}({listed})" if listed else name


def _shown(value: Any) -> Scalar | None:
    return "by parameter" if isinstance(value, dict) else value
