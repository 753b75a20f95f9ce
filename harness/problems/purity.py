"""Whether a module's loss is a function of its parameters and data, decided by what it does."""

import copy
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from harness.attention import math_attention
from harness.bilevel import Problem
from harness.errors import BadInput
from harness.losses import Name, faults_of_losses, require_attached, require_scalar
from harness.problems.curvature import asymmetry_of, directions, only
from harness.problems.layers import called
from harness.problems.replicas import Replicas
from harness.problems.traces import first_difference, random_states, random_states_kept, same, tensors_in, traced
from harness.pytree import Params

MOVE = 0.25
"""How far θ is moved, of each entry's own size; entries that are 0, of the others' mean."""

_EVAL = "call eval() on it, or take that out"
_ONLY_ONCE = "an operation can be differentiated only once (once_differentiable); write it out"
_HELD_ELSEWHERE = "something in it, a closure or a cache, holds others"


def has_values(data: Any) -> bool:
    """Whether all tensors in nested data are plain ones: neither fake nor on the device ``meta``."""
    return all(type(each) in (Tensor, nn.Parameter) and not each.is_meta for each in tensors_in(data))


def require_pure(probe: "Probe") -> None:
    """Hold a loss against a function of parameters and data; see :meth:`harness.ModuleProblem.check`.

    Costs seven evaluations, three gradients and two Hessian-vector products. The global random generators go on as if
    it had not been.

    Raises:
        BadInput: It is none.
    """
    if any(each.is_inference() for each in tensors_in(probe.data)):
        raise BadInput("a task's data was made in torch.inference_mode(), so nothing can be differentiated; clone it")
    with random_states_kept(probe.like.device), _errors_of_reentrant_checkpoints():
        moved = _moved(probe.theta)
        # before an evaluation can leave anything in the module
        other, another = (probe.held.copy_with(moved, probe.like) for _ in range(2))
        probe.require_no_effects()
        probe.require_own_parameters(moved, other)
        probe.require_own_data(moved, another)
        probe.require_symmetric_curvature()


@dataclass(frozen=True)
class Probe:
    """A loss on a task's support, evaluated and compared."""

    problem: Problem
    given: nn.Module
    """The user's module, which is not touched."""
    held: Replicas
    loss: Callable[[nn.Module, Any], Any]
    """Of a replica or copy of the module, on a task's support or query."""
    theta: Params
    data: Any
    """The support."""
    query: Any

    @cached_property
    def like(self) -> Tensor:
        """Any parameter."""
        return next(iter(self.theta.values()))

    def require_no_effects(self) -> None:
        """Equal calls return equal values, and change nothing.

        Raises:
            BadInput: They do not.
        """
        theta = _leaves(self.theta)
        replica = self._replica(theta)
        reachable = {
            "parameter": dict(replica.named_parameters()),
            "buffer": dict(replica.named_buffers()),
            "data": {str(number): each for number, each in enumerate(tensors_in(self.data))},
        }
        before = {kind: {name: _Snapshot.of(each) for name, each in some.items()} for kind, some in reachable.items()}
        random_before = random_states(self.like.device)
        first = self._value(replica)
        if random_states(self.like.device) != random_before:
            raise BadInput(f"{self._drawing_layer()} draws random numbers; {_EVAL}")
        for kind, some in reachable.items():
            for name, each in some.items():
                if not before[kind][name].is_of(each):
                    raise BadInput(self._written(kind, name))
        again = self._value(self._replica(theta))
        if not _near(first, again, again.detach().abs()):
            where = self._first_difference(self._replica(theta), self._replica(theta))
            raise BadInput(
                f"{where} returns other values at a second call with the same parameters and inputs; "
                "nothing that it remembers or draws may change its result"
            )
        self._require_no_other_leaves(first, theta)

    def require_own_parameters(self, moved: Params, fresh: nn.Module) -> None:
        """At a moved θ, value and gradient are those of a copy that holds it.

        Args:
            moved: That θ.
            fresh: The copy, never evaluated.

        Raises:
            BadInput: They are not.
        """
        theta, other = _leaves(moved), copy.deepcopy(fresh)
        value, expected = self._value(self._replica(theta)), self._value(other)
        if not _near(value, expected, expected.detach().abs()):
            where = self._first_difference(self._replica(theta), fresh)
            raise BadInput(f"{where} does not compute with the parameters it is given; {_HELD_ELSEWHERE}")
        others = dict(other.named_parameters())
        gradient = self._gradient(value, theta)
        right = self._gradient(expected, {name: others[name] for name in theta})
        scale = torch.stack([each.norm() for each in right.values()]).norm()
        for name in theta:
            if not _near(gradient[name], right[name], scale):
                raise BadInput(
                    f"module {self._owner(name)}: the gradient with respect to '{name}' is not that of a copy of the "
                    f"module with the same parameters; {_HELD_ELSEWHERE}"
                )

    def require_own_data(self, theta: Params, fresh: nn.Module) -> None:
        """On the query, after the support, the value is that of a copy that has seen no other data.

        Args:
            theta: Where.
            fresh: The copy, which holds ``theta``, never evaluated.

        Raises:
            BadInput: It is not.
        """
        theta, unused = _leaves(theta), copy.deepcopy(fresh)
        value, expected = (self._value(each, self.query, "outer_loss") for each in (self._replica(theta), fresh))
        if not _near(value, expected, expected.detach().abs()):
            where = self._first_difference(self._replica(theta), unused, self.query)
            raise BadInput(
                f"{where} returns another value on the query once the support has been seen; nothing that it "
                "remembers may change its result"
            )

    def require_symmetric_curvature(self) -> None:
        """There is a Hessian unless it is 0, and it is symmetric; one whose formula leaves a term out is not.

        Raises:
            BadInput: It is not.
        """
        theta = _leaves(self.theta)
        with math_attention():
            slope = self._gradient(self._value(self._replica(theta)), theta, create_graph=True)
            if not any(each.requires_grad for each in slope.values()):
                return self._require_constant(slope)
            known = {id(each) for each in theta.values()}
            if any(id(leaf) not in known for each in slope.values() for leaf in _leaves_of_graph(each)):
                raise BadInput(f"the gradient of inner_loss has no derivative with respect to parameters; {_ONLY_ONCE}")
            one, other = directions(self.theta, 1), directions(self.theta, 2)
            try:
                if asymmetry_of(slope, theta, one, other) <= 1:
                    return
                alone = {name: asymmetry_of(slope, theta, only(one, name), only(other, name)) for name in theta}
            except Exception:  # no second derivative: that is for the estimators to say which take one
                return
        name = max(alone, key=lambda each: alone[each])
        raise BadInput(
            f"module {self._owner(name)}: the second derivatives of inner_loss with respect to '{name}' are wrong, for "
            "they are not symmetric; write out the operation that they come from (PyTorch's weight norm is one)"
        )

    def _require_constant(self, slope: Params) -> None:
        """A gradient without derivative does not change with θ."""
        moved = _leaves(_moved(self.theta))
        other = self._gradient(self._value(self._replica(moved)), moved)
        scale = torch.stack([each.norm() for each in other.values()]).norm()
        for name, each in slope.items():
            if not _near(each, other[name], scale):
                raise BadInput(
                    f"module {self._owner(name)}: the gradient with respect to '{name}' changes with the parameters, "
                    f"yet has no derivative of its own; {_ONLY_ONCE}"
                )

    def _replica(self, theta: Params) -> nn.Module:
        return self.held.holding(theta, self.like)

    def _value(self, module: nn.Module, data: Any = None, name: Name = "inner_loss") -> Tensor:
        with torch.enable_grad(), faults_of_losses(self.problem, name, self.like.dtype):
            value = self.loss(module, self.data if data is None else data)
        require_scalar(value, name, self.like)
        require_attached(value, name)
        return value

    def _gradient(self, value: Tensor, theta: Params, *, create_graph: bool = False) -> Params:
        with faults_of_losses(self.problem, "the gradient of inner_loss", self.like.dtype):
            parts = torch.autograd.grad(
                value, list(theta.values()), create_graph=create_graph, allow_unused=True, materialize_grads=True
            )
        gradient = dict(zip(theta, parts, strict=True))
        for name, part in gradient.items():
            if part.layout != torch.strided:
                raise BadInput(f"module {self._owner(name)}: the gradient of '{name}' is sparse; set sparse=False")
        return gradient

    def _require_no_other_leaves(self, value: Tensor, theta: Params) -> None:
        known = {id(each) for each in theta.values()}
        for leaf in _leaves_of_graph(value):
            if id(leaf) in known:
                continue
            original = next((name for name, each in self.given.named_parameters() if each is leaf), None)
            if original:
                raise BadInput(
                    f"module {self._owner(original)}: a hook or closure uses '{original}' of the module as it was "
                    "given, whatever the parameters are; it must use the layer it is passed"
                )
            raise BadInput(
                f"{_holder(self.held.module, leaf)} holds a tensor of shape {tuple(leaf.shape)} that requires grad and "
                "is none of the module's parameters; register it (nn.ParameterList, nn.ModuleList), or detach it"
            )

    def _written(self, kind: str, name: str) -> str:
        if kind == "data":
            return "inner_loss writes to the data it is given; set inplace=False in the first layer, or clone its input"
        layer, _, own = name.rpartition(".")
        words = type(self.held.module.get_submodule(layer)).__name__
        return f"module {self._owner(name)}: {words} writes to its {kind} '{own}'; {_EVAL}"

    def _owner(self, name: str) -> str:
        """What to call the layer that a parameter or buffer is of."""
        layer = name.rpartition(".")[0]
        return called(layer, self.held.module.get_submodule(layer))

    def _drawing_layer(self) -> str:
        calls = traced(self._replica(_leaves(self.theta)), self._value, self.like.device)
        return next((call.words for call in calls if call.drew), "inner_loss")

    def _first_difference(self, one: nn.Module, other: nn.Module, data: Any = None) -> str:
        def run(module: nn.Module) -> object:
            return self._value(module, data)

        found = first_difference(*(traced(each, run, self.like.device) for each in (one, other)))
        return found.words if found else "inner_loss"


@dataclass(frozen=True)
class _Snapshot:
    version: int
    value: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> "_Snapshot":
        return cls(tensor._version, tensor.detach().clone())

    def is_of(self, tensor: Tensor) -> bool:
        """Whether the tensor has not been written to since: neither by autograd's count nor by its values."""
        return tensor._version == self.version and same(tensor, self.value)


def _near(one: Tensor, other: Tensor, scale: Tensor) -> bool:
    """Whether two results of the same operations are equal.

    To the bit on a CPU; elsewhere within half the digits of ``scale``, for kernels there may sum in any order.
    """
    if one.device.type == "cpu" or not bool(scale.isfinite()):
        return same(one, other)
    return bool((one - other).norm() <= torch.finfo(one.dtype).eps ** 0.5 * scale)


def _moved(theta: Params) -> Params:
    """θ, every entry moved by up to a quarter of its size, so that none changes its sign."""
    way = directions(theta, seed=0)
    return {name: each + MOVE * way[name] for name, each in theta.items()}


def _leaves(theta: Params) -> Params:
    return {name: each.detach().clone().requires_grad_() for name, each in theta.items()}


def _leaves_of_graph(value: Tensor) -> Iterator[Tensor]:
    """The leaves that a tensor was computed from."""
    waiting, seen = [value.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)  # that of AccumulateGrad
        if leaf is not None:
            yield leaf
        waiting.extend(each for each, _ in node.next_functions)


def _holder(module: nn.Module, leaf: Tensor) -> str:
    """The layer and attribute that a tensor which is not registered hangs on."""
    for name, layer in module.named_modules():
        for attribute, value in vars(layer).items():
            held = pytree.tree_leaves(value)
            within = [each for one in held if isinstance(one, nn.Module) for each in one.parameters()]
            if any(each is leaf for each in (*held, *within)):
                return f"module {called(name, layer)}: attribute '{attribute}'"
    return "inner_loss"


@contextmanager
def _errors_of_reentrant_checkpoints() -> Generator[None]:
    """A layer whose gradient reentrant checkpointing leaves out is only warned of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="None of the inputs have requires_grad=True")
        yield
