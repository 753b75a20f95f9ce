"""Whether a module's loss is a function of its parameters and data, decided by what it does."""

import pickle
import random
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from harness.bilevel import Problem
from harness.errors import BadInput
from harness.losses import faults_of_losses, require_attached, require_scalar
from harness.problems.layers import called
from harness.problems.replicas import Replicas
from harness.pytree import Params

MOVE = 0.25
"""How far θ is moved, of each entry's own size; entries that are 0, of the others' size."""

Applied = Callable[[nn.Module], Any]
"""The loss of a module that holds some parameters."""


def has_values(data: Any) -> bool:
    """Whether all tensors in nested data are plain ones: neither fake, nor on the device ``meta``, nor of a transform."""
    tensors = _tensors(data)
    return all(type(each) in (Tensor, nn.Parameter) and not each.is_meta for each in tensors)


def require_pure(problem: Problem, held: Replicas, applied: Applied, theta: Params, data: Any) -> None:
    """Hold a loss against a function of parameters and data; see :meth:`harness.ModuleProblem.check`.

    Costs four evaluations and two gradients. Random states are left as they were.

    Raises:
        BadInput: It is none.
    """
    if any(each.is_inference() for each in _tensors(data)):
        raise BadInput("a task's data was made in torch.inference_mode(), and cannot be differentiated through; clone it")
    probe = _Probe(problem, held, applied, {name: each.detach().clone() for name, each in theta.items()}, data)
    with _random_states_kept(probe.like.device), _errors_of_reentrant_checkpoints():
        probe.require_no_effects()
        probe.require_own_parameters()


@dataclass(frozen=True)
class _Probe:
    problem: Problem
    held: Replicas
    applied: Applied
    theta: Params
    data: Any

    @property
    def like(self) -> Tensor:
        return next(iter(self.theta.values()))

    def require_no_effects(self) -> None:
        """Equal calls return equal values, and change nothing."""
        theta = _leaves(self.theta)
        replica = self.held.holding(theta, self.like)
        given = [("parameter", dict(replica.named_parameters())), ("buffer", dict(replica.named_buffers())), ("data", _numbered(self.data))]
        before = [{name: (each._version, each.detach().clone()) for name, each in some.items()} for _, some in given]
        random_before = _random_states(self.like.device)
        first = self._value(replica)
        if _random_states(self.like.device) != random_before:
            raise BadInput(f"{self._drawing_layer()} draws random numbers; {_EVAL}")
        for (kind, tensors), known in zip(given, before, strict=True):
            for name, each in tensors.items():
                version, value = known[name]
                if each._version != version or not _same(each, value):
                    raise BadInput(self._written(kind, name, replica))
        again = self._value(self.held.holding(theta, self.like))
        if not _near(first, again, again.detach().abs()):
            raise BadInput(
                f"{self._unsteady_layer()} returns other values at a second call with the same parameters and inputs; "
                "what it remembers or draws must not change its result"
            )
        self._require_no_other_leaves(first, theta)

    def require_own_parameters(self) -> None:
        """At a moved θ, value and gradient are those of a copy that holds it."""
        moved = _moved(self.theta)
        theta = _leaves(moved)
        replica, other = self.held.holding(theta, self.like), self.held.copy_with(moved, self.like)
        own, expected = self._value(replica), self._value(other)
        if not _near(own, expected, expected.detach().abs()):
            where = self._first_difference(self.held.holding(theta, self.like), self.held.copy_with(moved, self.like))
            raise BadInput(f"{where} does not compute with the parameters it is given; {_HELD_ELSEWHERE}")
        others = dict(other.named_parameters())
        found = self._gradients(own, theta)
        right = self._gradients(expected, {name: others[name] for name in theta})
        scale = torch.stack([each.norm() for each in right.values()]).norm()
        for name, gradient in found.items():
            if not _near(gradient, right[name], scale):
                raise BadInput(
                    f"module {self._owner(name)}: the gradient with respect to '{name}' is not that of a copy of the "
                    f"module with the same parameters; {_HELD_ELSEWHERE}"
                )

    def _value(self, module: nn.Module) -> Tensor:
        with torch.enable_grad(), faults_of_losses(self.problem, "inner_loss", self.like.dtype):
            value = self.applied(module)
        require_scalar(value, "inner_loss", self.like.dtype)
        require_attached(value, "inner_loss")
        return value

    def _gradients(self, value: Tensor, theta: Params) -> Params:
        with faults_of_losses(self.problem, "the gradient of inner_loss", self.like.dtype):
            gradients = torch.autograd.grad(value, list(theta.values()), allow_unused=True, materialize_grads=True)
        named = dict(zip(theta, gradients, strict=True))
        for name, gradient in named.items():
            if gradient.layout != torch.strided:
                raise BadInput(f"module {self._owner(name)}: the gradient of '{name}' is sparse; set sparse=False")
        return named

    def _require_no_other_leaves(self, value: Tensor, theta: Params) -> None:
        known = {id(each) for each in theta.values()}
        for leaf in _leaves_of_graph(value):
            if id(leaf) not in known:
                given = self.problem.code.named_parameters() if isinstance(self.problem.code, nn.Module) else ()
                for name in (name for name, each in given if each is leaf):
                    raise BadInput(
                        f"module {self._owner(name)}: a hook or closure uses '{name}' of the module as it was given, and "
                        "would do so whatever the parameters; let it use the layer that it is passed"
                    )
                where = _holder(self.held.module, leaf) or "inner_loss"
                raise BadInput(
                    f"{where} depends on a tensor of shape {tuple(leaf.shape)} that requires grad and is none of the "
                    "module's parameters; register it (nn.ParameterList, nn.ModuleList), or detach it"
                )

    def _written(self, kind: str, name: str, replica: nn.Module) -> str:
        if kind == "data":
            return "inner_loss writes to the data it is given; take inplace=False in the first layer, or clone its input"
        layer, _, own = name.rpartition(".")
        kind_of_layer = type(replica.get_submodule(layer)).__name__
        return f"module {self._owner(name)}: {kind_of_layer} writes to its {kind} '{own}'; {_EVAL}"

    def _owner(self, name: str) -> str:
        """What to call the layer that a parameter or buffer is of."""
        layer = name.rpartition(".")[0]
        return called(layer, self.held.module.get_submodule(layer))

    def _drawing_layer(self) -> str:
        calls = self._traced(self.held.holding(_leaves(self.theta), self.like))
        return next((call.words for call in calls if call.drew), "inner_loss")

    def _unsteady_layer(self) -> str:
        theta = _leaves(self.theta)
        return self._first_difference(self.held.holding(theta, self.like), self.held.holding(theta, self.like))

    def _first_difference(self, one: nn.Module, other: nn.Module) -> str:
        """The first layer to return, innermost first, that makes different things of the same."""
        for own, its in zip(self._traced(one), self._traced(other), strict=False):
            if own.name == its.name and _all_same(own.inputs, its.inputs) and not _all_same(own.outputs, its.outputs):
                return own.words
        return "inner_loss"

    def _traced(self, module: nn.Module) -> "list[_Call]":
        """Calls of the module's layers, in the order in which they return."""
        calls = list[_Call]()
        for name, layer in module.named_modules():
            _trace(name, layer, self.like.device, calls)
        self._value(module)
        return calls


_EVAL = "call eval() on it, or take that out"
_HELD_ELSEWHERE = "something in it, a closure or a cache, holds others"


@dataclass(frozen=True)
class _Call:
    name: str
    layer: str
    drew: bool
    """Whether a random state was another when it returned."""
    inputs: list[Tensor]
    outputs: list[Tensor]

    @property
    def words(self) -> str:
        return f"module {self.name}: {self.layer}" if self.name else f"module {self.layer}"


def _trace(name: str, layer: nn.Module, device: torch.device, calls: list[_Call]) -> None:
    """Let calls of a layer be noted. It is a replica, or a copy: nobody else's."""
    forward = layer.forward

    def noted(*args: Any, **kwargs: Any) -> Any:
        before, inputs = _random_states(device), _kept((args, kwargs))
        result = forward(*args, **kwargs)
        calls.append(_Call(name, type(layer).__name__, _random_states(device) != before, inputs, _kept(result)))
        return result

    vars(layer)["forward"] = noted


def _kept(value: Any) -> list[Tensor]:
    return [each.detach().clone() for each in _tensors(value)]


def _all_same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(_same(a, b) for a, b in zip(some, others, strict=True))


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether all values are equal, those that are no numbers included."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _near(one: Tensor, other: Tensor, scale: Tensor) -> bool:
    """Whether two results of the same operations are equal.

    To the bit on a CPU; elsewhere within half the digits of ``scale``, for kernels there may sum in any order.
    """
    if one.device.type == "cpu" or not bool(scale.isfinite()):
        return _same(one, other)
    half = torch.finfo(one.dtype).eps ** 0.5
    return bool((one - other).norm() <= half * scale)


def _moved(theta: Params) -> Params:
    """θ, every entry moved by up to a quarter of its size, and without a change of sign, by a seeded draw."""
    generator = torch.Generator().manual_seed(0)
    size = max((float(each.abs().mean()) for each in theta.values()), default=0.0) or 1.0

    def shifted(each: Tensor) -> Tensor:
        draw = torch.rand(each.shape, generator=generator, dtype=torch.float64).to(each) * 2 - 1
        return each + MOVE * draw * torch.where(each == 0, size, each)

    return {name: shifted(each) for name, each in theta.items()}


def _leaves(theta: Params) -> Params:
    return {name: each.clone().requires_grad_() for name, each in theta.items()}


def _tensors(data: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(data) if isinstance(leaf, Tensor)]


def _numbered(data: Any) -> dict[str, Tensor]:
    return {str(number): each for number, each in enumerate(_tensors(data))}


def _leaves_of_graph(value: Tensor) -> Iterator[Tensor]:
    """The leaves that a tensor was computed from."""
    waiting, seen = [value.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable  # pyright: ignore[reportAttributeAccessIssue]  (of AccumulateGrad)
        waiting.extend(each for each, _ in node.next_functions)


def _holder(module: nn.Module, leaf: Tensor) -> str | None:
    """The layer and attribute a tensor that is not registered hangs on."""
    for name, layer in module.named_modules():
        for attribute, value in vars(layer).items():
            held = pytree.tree_leaves(value)
            inner = [each for one in held if isinstance(one, nn.Module) for each in one.parameters()]
            if any(each is leaf for each in (*held, *inner)):
                return f"module {called(name, layer)}: attribute '{attribute}'"
    return None


def _random_states(device: torch.device) -> bytes:
    """The states of all global generators that a layer may draw from."""
    own = [torch.get_rng_state().numpy().tobytes()]
    if device.type == "cuda":
        own.append(torch.cuda.get_rng_state(device).numpy().tobytes())
    return pickle.dumps((own, random.getstate(), np.random.get_state()))  # noqa: NPY002  (the global one is meant)


@contextmanager
def _random_states_kept(device: torch.device) -> Generator[None]:
    pythons, numpys = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(pythons)
            np.random.set_state(numpys)


@contextmanager
def _errors_of_reentrant_checkpoints() -> Generator[None]:
    """A layer whose gradient reentrant checkpointing leaves out is only warned of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="None of the inputs have requires_grad=True")
        yield
