"""Gradients that are right but for some of the parameters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from harness.validation.case import Case
from harness.validation.hypothesis import Hypothesis
from harness.validation.report import Cause
from harness.validation.words import origin, times

RIGHT = 1e-3
"""Part of a draw's error that a parameter may have and still be right."""

Block: TypeAlias = Callable[[Case], Tensor]
"""What one parameter's gradient would be."""


@dataclass(frozen=True)
class _Fate:
    """What became of a parameter's gradient."""

    words: str
    block: Block
    fitted: int = 0


def wrong(case: Case) -> tuple[str, ...]:
    """Names of the parameters whose gradient is off; none where all are."""
    blocks = _blocks(case, case.returned - case.reference)
    allowed = RIGHT * float((case.returned - case.reference).norm())
    off = tuple(name for name, block in blocks.items() if float(block.norm()) > allowed)
    return off if len(off) < len(blocks) else ()


def parameter_by_parameter(case: Case) -> Iterator[Hypothesis]:
    """The reference, but for parameters that are zero, of the wrong sign, exchanged and so on."""
    names = wrong(case)
    fates = {name: _fate(case, name) for name in names}
    told = {name: fate for name, fate in fates.items() if fate is not None}
    if not names or len(told) < len(fates):
        return
    yield _hypothesis(case, told, "right but for ")


def factor_by_factor(case: Case) -> Iterator[Hypothesis]:
    """A factor of its own for each parameter."""
    names = case.objective.layout.names
    if len(names) < 2 or wrong(case):
        return
    yield _hypothesis(case, {name: _factor(case, name) for name in names}, "a factor of its own for each parameter: ")


def _hypothesis(case: Case, fates: Mapping[str, _Fate], start: str) -> Hypothesis:
    alike: dict[str, list[str]] = {}
    for name, fate in fates.items():
        alike.setdefault(fate.words, []).append(f"'{name}'")
    line = "; ".join(f"{_listed(names)}, {words}" for words, names in alike.items())

    def gradient(case: Case) -> Tensor:
        blocks = _blocks(case, case.reference)
        return case.objective.layout.ravel(blocks | {name: fate.block(case) for name, fate in fates.items()})

    return Hypothesis(
        Cause("parameter", f"{start}{line}"),
        gradient,
        fitted=sum(fate.fitted for fate in fates.values()),
        within=1 - case.without(*fates) > 0,
        scalable=False,
    )


def _fate(case: Case, name: str) -> _Fate | None:
    """The simplest one that fits."""
    returned, like = _blocks(case, case.returned)[name], case.theta[name]
    twins = [each for each, block in case.theta.items() if each != name and block.shape == like.shape]
    fates = [
        _Fate("which is zero: is it detached from the graph?", lambda case: torch.zeros_like(like)),
        _Fate("which has the wrong sign", lambda case: -_blocks(case, case.reference)[name]),
        _Fate("which is of first order only", lambda case: _blocks(case, _first_order(case))[name]),
        *(
            _Fate(f"which is that of '{twin}'", lambda case, twin=twin: _blocks(case, case.reference)[twin])
            for twin in twins
        ),
        *([_Fate("which is transposed", lambda case: _blocks(case, case.reference)[name].T)] if _square(like) else []),
        _factor(case, name),
    ]
    scale = float(_blocks(case, case.reference)[name].norm())
    return next((fate for fate in fates if float((returned - fate.block(case)).norm()) <= RIGHT * scale), None)


def _factor(case: Case, name: str) -> _Fate:
    returned, right = _blocks(case, case.returned)[name], _blocks(case, case.reference)[name]
    factor = float((returned * right).sum() / right.square().sum())
    words = f"which is {times(factor)}{origin(case, factor)} times the reference"
    return _Fate(words, lambda case: factor * _blocks(case, case.reference)[name], fitted=1)


def _first_order(case: Case) -> Tensor:
    return case.query_gradient(case.last if case.vs == "backprop" else case.minimiser)


def _square(block: Tensor) -> bool:
    return block.dim() == 2 and block.shape[0] == block.shape[1] > 1


def _blocks(case: Case, flat: Tensor) -> dict[str, Tensor]:
    return case.objective.layout.unravel(flat)


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:3], *([f"{len(names) - 3} more"] if len(names) > 3 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def some_parameters(cases: Sequence[Case]) -> Cause | None:
    """That some parameters are right and others are not, where nothing says why."""
    names = wrong(cases[0])
    if not names or any(wrong(case) != names for case in cases[1:]):
        return None
    shown = _listed([f"'{name}'" for name in names])
    return Cause("parameter", f"right but for {shown}; what is wrong there is unknown")
