"""Copies of a module that hold other tensors in place of its parameters."""

import copy
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import BadInput, first_line
from harness.problems.layers import called
from harness.pytree import Params

_REGISTERED = ("_parameters", "_buffers", "_modules")
"""Where a module keeps what is registered with it."""

_KEPT = "assign it to an attribute of its own, which each evaluation has for itself, or take that out"


class Replicas:
    """A deep copy of a module, and replicas of it, as data parallelism makes them, that hold other parameters.

    A replica really holds what it is given, and nothing is put back after an evaluation. So whatever looks at a
    parameter later finds the same tensor; gradient checkpointing does, which runs layers again in the backward pass.
    What a forward pass assigns to attributes, or puts into lists, dicts and sets there, goes with its replica: each
    evaluation starts from the module as it was copied. A layer or a tensor that is registered under several names is
    one thing under all of them.

    Args:
        module: Copied now.

    Raises:
        BadInput: It cannot be copied.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = _copied(module)
        """The deep copy, never written to."""
        self._layers = list(self.module.modules())
        named = [*self.module.named_parameters(), *self.module.named_buffers()]
        self._names = {id(tensor): name for name, tensor in named}
        self.theta = {name: each.detach() for name, each in self.module.named_parameters() if each.requires_grad}
        """Trainable parameters by their first names."""
        self._constants = {name: each.detach() for name, each in named if name not in self.theta}
        self._plans = self._planned()
        self._reaching = self._found_reaching()
        known: dict[int, _Container] = {}
        self._containers = [_containers(*each, known) for each in zip(self._layers, self._reaching, strict=True)]

    def _planned(self) -> list[dict[str, dict[str, Any]]]:
        """What each layer registers: tensors by their first names, layers by their numbers."""
        numbers = {id(layer): number for number, layer in enumerate(self._layers)}
        known = self._names | numbers
        return [
            {kind: {name: known.get(id(each)) for name, each in vars(layer)[kind].items()} for kind in _REGISTERED}
            for layer in self._layers
        ]

    def _found_reaching(self) -> list[list[str]]:
        """Attributes of each layer that lead to layers or tensors that are registered: lists of them, bound methods."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        known = {id(each): each for each in (*self._layers, *tensors)}
        return [
            [name for name, value in vars(layer).items() if name not in _REGISTERED and _leads_to(value, known)]
            for layer in self._layers
        ]

    def holding(self, params: Params, like: Tensor) -> nn.Module:
        """A replica with ``params`` for its trainable parameters.

        Args:
            params: By their first names.
            like: Of the device and dtype that frozen parameters and buffers follow.
        """
        tensors = params | self.constants(like)
        replicas: list[nn.Module] = []
        for layer in self._layers:
            replica: nn.Module = object.__new__(type(layer))
            vars(replica).update(vars(layer))
            replicas.append(replica)
        for replica, plan in zip(replicas, self._plans, strict=True):
            own = vars(replica)
            for kind in ("_parameters", "_buffers"):
                own[kind] = {name: None if first is None else tensors[first] for name, first in plan[kind].items()}
            children = plan["_modules"].items()
            own["_modules"] = {name: None if number is None else replicas[number] for name, number in children}
        if any(self._containers):
            memo: dict[int, Any] = {}
            for replica, containers in zip(replicas, self._containers, strict=True):
                vars(replica).update({name: each.copied(memo) for name, each in containers.items()})
        if any(self._reaching):
            self._redirect(replicas, tensors)
        return replicas[0]

    def _redirect(self, replicas: list[nn.Module], tensors: Params) -> None:
        """Let attributes that lead to layers or tensors of the module lead to those of the replica."""
        memo: dict[int, Any] = {id(layer): replica for layer, replica in zip(self._layers, replicas, strict=True)}
        memo |= {known: tensors[name] for known, name in self._names.items()}
        for replica, names in zip(replicas, self._reaching, strict=True):
            for name in names:
                vars(replica)[name] = copy.deepcopy(vars(replica)[name], memo)

    def copy_with(self, params: Params, like: Tensor) -> nn.Module:
        """A deep copy whose trainable parameters are ``params``, cloned: slow, and a replica that shares nothing.

        Raises:
            BadInput: The module keeps something from an earlier forward pass that cannot be copied.
        """
        held = {name: nn.Parameter(each.detach().clone()) for name, each in params.items()}
        held |= {name: each.clone() for name, each in self.constants(like).items()}
        memo: dict[int, Any] = {known: held[name] for known, name in self._names.items()}
        try:
            return copy.deepcopy(self.module, memo)
        except Exception as error:  # it could be copied before anything was evaluated
            raise BadInput(f"module {_keeper(self.module)} keeps what a forward pass made; {_KEPT}") from error

    def constants(self, like: Tensor) -> Params:
        """Frozen parameters and buffers on the device of ``like``, and of its dtype where they are no whole numbers."""
        real, imaginary = like.dtype, like.dtype.to_complex()
        return {
            name: each.to(like.device, real if each.is_floating_point() else imaginary if each.is_complex() else None)
            for name, each in self._constants.items()
        }


def _copied(module: nn.Module) -> nn.Module:
    """A deep copy. What the module has computed from its parameters before, as weight norm has, is a constant of it."""
    computed = [t for layer in module.modules() for t in vars(layer).values() if isinstance(t, Tensor) and t.grad_fn]
    try:
        with torch.inference_mode(False):
            return copy.deepcopy(module, {id(tensor): tensor.detach().clone() for tensor in computed})
    except Exception as error:
        what = f"{type(error).__name__}: {first_line(error)}"
        raise BadInput(f"module {type(module).__name__} cannot be copied: copy.deepcopy raised {what}") from error


def _keeper(module: nn.Module) -> str:
    """The layer, and the attribute if it is found, in which a forward pass left what cannot be copied."""
    for name, layer in module.named_modules():
        for attribute in (each for each in vars(layer) if each not in _REGISTERED):
            try:
                copy.deepcopy(vars(layer)[attribute])
            except Exception:
                return f"{called(name, layer)}: attribute '{attribute}'"
    return type(module).__name__


@dataclass
class _Container:
    """A list, dict or set that a forward pass could put something into, and those within it."""

    value: Any
    within: dict[Any, "_Container"]
    """By key or place."""

    def copied(self, memo: dict[int, Any]) -> Any:
        """The same with lists, dicts and sets of its own, and everything else in it as it is."""
        known = id(self.value)
        if known not in memo:
            memo[known] = copy.copy(self.value)
            for key, each in self.within.items():
                memo[known][key] = each.copied(memo)
        return memo[known]


def _containers(layer: nn.Module, reaching: list[str], known: dict[int, _Container]) -> dict[str, _Container]:
    """Those of a layer by attribute, as far as they are of a user's making."""
    kept_by_torch = vars(nn.Module()).keys() | set(reaching)
    found = {name: _container(value, known) for name, value in vars(layer).items() if name not in kept_by_torch}
    return {name: each for name, each in found.items() if each}


def _container(value: Any, known: dict[int, _Container]) -> _Container | None:
    if not isinstance(value, list | dict | set | deque):
        return None
    if id(value) not in known:
        own = known[id(value)] = _Container(value, {})
        members = value.items() if isinstance(value, dict) else [] if isinstance(value, set) else enumerate(value)
        for key, each in members:
            if inner := _container(each, known):
                own.within[key] = inner
    return known[id(value)]


class _Watch(dict[int, Any]):
    """A memo of ``deepcopy`` that finds out whether something known is met."""

    def __init__(self, known: dict[int, Any]) -> None:
        super().__init__()
        self.known = known
        self.met = False

    def get(self, key: int, default: Any = None) -> Any:
        if key in self.known:
            self.met = True
            return self.known[key]
        return super().get(key, default)


def _leads_to(value: Any, known: dict[int, Any]) -> bool:
    """Whether a copy of ``value`` would copy a layer or tensor that is known by its identity."""
    watch = _Watch(known)
    copy.deepcopy(value, watch)
    return watch.met
