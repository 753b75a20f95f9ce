"""The contract of the inner solvers."""

from abc import ABC, abstractmethod
from typing import TypeAlias

from torch import Tensor

State: TypeAlias = tuple[Tensor, ...]
"""What a solver carries from step to step: φ first, then its own (momentum, …), each of shape (n,)."""


class InnerSolver(ABC):
    """An inner solver that takes one gradient a step: a pure function of its state and that gradient.

    Being pure and made of differentiable operations is what lets an estimator unroll or replay it.
    """

    @abstractmethod
    def initial(self, phi: Tensor) -> State:
        """The state before the first step, at φ = ``phi``."""

    @abstractmethod
    def update(self, state: State, gradient: Tensor, lr: float) -> State:
        """The state after one step along ``gradient`` = ∇G(φ), shape (n,), with step size ``lr``."""
