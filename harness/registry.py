"""Names of problems, estimators and other parts, resolved to their classes only when one is used.

Built-in parts are listed as ``module:attribute`` strings, so that listing names imports nothing. Other packages join
through the entry point groups ``imaml_bench.problems``, ``imaml_bench.estimators``, and so on.
"""

import sys
from collections.abc import Callable, Mapping, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, signature
from typing import Any, get_args, get_type_hints

from harness.errors import BadInput, faults_of, first_line, unknown

around_import: Callable[[str], AbstractContextManager[object]] = nullcontext
"""Entered with the name of another package's part while that is imported, which may take for ever or end the process.

A worker sets it, to tell what it is at.
"""


class Registry:
    """The parts of one kind, by name.

    Args:
        kind: What the parts are, in the singular, for error messages ("estimator").
        group: The entry point group other packages register theirs under.
        builtin: Name to ``module:attribute``.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self.builtin = tuple(builtin)
        """Names of the parts that come with the harness."""
        self._targets: dict[str, str | Callable[..., Any]] = dict(builtin)

    def register(self, name: str, part: Callable[..., Any]) -> None:
        """Add a part to this process's registry. A worker process sees it only if a preloaded module registers it."""
        if name in self._targets:
            raise BadInput(f"{self.kind} '{name}' is already registered")
        self._targets[name] = part

    def names(self) -> list[str]:
        """All known names: the built-in ones in their order, then those of other packages."""
        return [*self._targets, *(name for name in self._plugins() if name not in self._targets)]

    def modules(self) -> list[str]:
        """Modules of the built-in parts that nothing has used yet, each once."""
        return list(dict.fromkeys(t.partition(":")[0] for t in self._targets.values() if isinstance(t, str)))

    def get(self, name: str) -> Callable[..., Any]:
        """The part called ``name``.

        Raises:
            BadInput: No such part, and the message suggests the nearest name; or another package's cannot be imported.
        """
        target = self._targets.get(name)
        if target is None:
            plugins = self._plugins()
            if name not in plugins:
                raise unknown(self.kind, name, self.names())
            target = self._load(plugins[name])
        elif isinstance(target, str):
            module, _, attribute = target.partition(":")
            target = getattr(import_module(module), attribute)
        self._targets[name] = target
        return target

    def create(self, name: str, **parameters: Any) -> Any:
        """Build the part called ``name``.

        Raises:
            BadInput: No such part, a parameter it does not take or lacks, or a value out of its range; or another
                package's part cannot be imported or made.
        """
        part = self.get(name)
        parameters = {key: of_python(value) for key, value in parameters.items()}
        try:
            _check_parameters(part, parameters)
            with faults_of(part, "making it"):
                return part(**parameters)
        except BadInput as error:
            raise BadInput(f"{self.kind} '{name}': {error}") from None

    def _load(self, point: EntryPoint) -> Callable[..., Any]:
        try:
            with around_import(f"entry point {point.value} of {self.kind} '{point.name}'"):
                return point.load()
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {first_line(error)}"
            raise BadInput(f"{self.kind} '{point.name}': cannot import its entry point {point.value}: {why}") from error

    def _plugins(self) -> Mapping[str, EntryPoint]:
        return _plugins(self.group, tuple(sys.path))


@lru_cache
def _plugins(group: str, path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    """The parts of other packages on ``sys.path``, which takes milliseconds to search."""
    del path
    return {point.name: point for point in entry_points(group=group)}


def all_parameters(part: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of a call of ``part``: those given, then the defaults of the others, as its signature has them.

    A whole number given for a float is that float, and sequences are lists: what is one computation is one text. A
    default that is no number, string, boolean or list of these cannot be told, and is left out.
    """
    types = _types(part)
    defaults = {name: p.default for name, p in signature(part).parameters.items() if p.default is not Parameter.empty}
    if is_dataclass(part):
        made = {each.name: each.default_factory for each in fields(part) if each.default_factory is not MISSING}
        defaults |= {name: make() for name, make in made.items()}
    whole = {**given, **{name: value for name, value in defaults.items() if name not in given}}
    told = {name: _plain(value, _leaves(types.get(name))) for name, value in whole.items()}
    return {name: value for name, value in told.items() if value is not None}


def _types(part: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(part if is_dataclass(part) or not isinstance(part, type) else part.__init__)
    except Exception:  # another package's annotations may name anything
        return {}


def _leaves(declared: Any) -> set[Any]:
    """The types a declared one is made of: float and str of ``list[float] | str``."""
    inside = get_args(declared)
    return {leaf for each in inside for leaf in _leaves(each)} if inside else {declared}


def _plain(value: object, types: Set[Any]) -> Any:
    """A scalar of the declared types, or a list of them; None for anything else."""
    if isinstance(value, list | tuple):
        items = [_plain(each, types) for each in value]
        return None if any(each is None or isinstance(each, list) for each in items) else items
    value = of_python(value)
    if type(value) is int and float in types and int not in types:
        return float(value)
    return value if type(value) in (bool, int, float, str) else None


def of_python(value: Any) -> Any:
    """A number of numpy's, or a list of them, as Python's own; anything else as it is."""
    if isinstance(value, list | tuple):
        return type(value)(map(of_python, value)) if type(value) in (list, tuple) else value
    numpy = sys.modules.get("numpy")
    return value.item() if numpy is not None and isinstance(value, numpy.generic) else value


def _check_parameters(part: Callable[..., Any], given: Mapping[str, Any]) -> None:
    parameters = signature(part).parameters
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    variadic = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    accepted = {key: p for key, p in parameters.items() if p.kind not in variadic}
    for key in given:
        if key not in accepted and not takes_any:
            raise unknown("parameter", key, accepted)
    missing = [key for key, p in accepted.items() if p.default is Parameter.empty and key not in given]
    if missing:
        raise BadInput(f"needs {', '.join(missing)}")


PROBLEMS = Registry(
    "problem",
    "imaml_bench.problems",
    {
        "linear": "harness.problems.linear:LinearRegression",
        "conv4": "harness.problems.conv4:Conv4",
        "sinusoid": "harness.problems.sinusoid:Sinusoid",
        "mlp": "harness.problems.mlp:Mlp",
        "transformer": "harness.problems.transformer:Transformer",
        "logistic": "harness.problems.logistic:LogisticRegression",
    },
)

ESTIMATORS = Registry(
    "estimator",
    "imaml_bench.estimators",
    {
        "maml": "harness.estimators.unrolled:Maml",
        "maml-checkpoint": "harness.estimators.replay:MamlCheckpoint",
        "maml-replay": "harness.estimators.replay:MamlReplay",
        "maml-truncated": "harness.estimators.unrolled:MamlTruncated",
        "fomaml": "harness.estimators.first_order:Fomaml",
        "reptile": "harness.estimators.first_order:Reptile",
        "imaml-cg": "harness.estimators.implicit:ImamlCg",
        "imaml-neumann": "harness.estimators.implicit:ImamlNeumann",
        "imaml-nystrom": "harness.estimators.implicit:ImamlNystrom",
        "imaml-minres": "harness.estimators.implicit:ImamlMinres",
        "imaml-dense": "harness.estimators.implicit:ImamlDense",
        "darts-fd": "harness.estimators.implicit:DartsFd",
    },
)

INNER_SOLVERS = Registry(
    "inner solver",
    "imaml_bench.inner_solvers",
    {
        "gd": "harness.inner.gradient_descent:GradientDescent",
        "heavy-ball": "harness.inner.heavy_ball:HeavyBall",
        "nesterov": "harness.inner.nesterov:Nesterov",
        "adam": "harness.inner.adam:Adam",
        "lbfgs": "harness.inner.lbfgs:Lbfgs",
        "newton-cg": "harness.inner.newton_cg:NewtonCg",
    },
)

IMAGE_SOURCES = Registry(
    "image source",
    "imaml_bench.image_sources",
    {
        "glyphs": "harness.data.glyphs:Glyphs",
        "omniglot": "harness.data.omniglot:Omniglot",
        "miniimagenet": "harness.data.miniimagenet:MiniImageNet",
    },
)

REGISTRIES = (PROBLEMS, ESTIMATORS, INNER_SOLVERS, IMAGE_SOURCES)
