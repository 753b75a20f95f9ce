"""A user's ``torch.nn.Module`` as a problem."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from harness.bilevel import Checked, Task
from harness.errors import BadInput
from harness.problems.layers import require_adaptable, require_constant
from harness.problems.purity import Probe, has_values, require_pure
from harness.problems.replicas import Replicas
from harness.pytree import Params


@dataclass(frozen=True)
class ModuleProblem(Checked):
    """Few-shot learning with any module: θ are its trainable parameters, both losses ``loss(module(inputs), targets)``.

    Parameters with ``requires_grad=False`` when the problem is made are frozen: constants that are neither adapted nor
    given a gradient. They and the buffers, and those of a loss that is a module, follow the dtype and device of the
    parameters that a loss is given; tensors held in any other way have to be cast by who holds them.

    A task's support and query are pairs ``(inputs, targets)``. Inputs that are a tuple are the module's positional
    arguments, a dict its keyword arguments, and anything else its one argument. What it returns goes to ``loss`` as it
    is.

    The module is copied, and every evaluation runs on a replica of the copy: the user's is never written to. The losses
    must be functions of parameters and data alone, or evaluating them again (replay, checkpointing, every
    Hessian-vector product) gives another function. :meth:`check` finds out by what they do.

    Args:
        module: Copied now, parameters, buffers and all.
        loss: Maps the module's output and the targets to a scalar.
        draw: ``draw(n, seed)`` returns n tasks, the same for the same seed, on the module's device and of its dtype.

    Raises:
        BadInput: The module has no trainable parameter or cannot be copied, or a layer rules it out; says which.
    """

    module: nn.Module
    loss: Callable[[Any, Any], Tensor]
    draw: Callable[[int, int], Sequence[Task]]
    _held: Replicas = field(init=False, repr=False, compare=False)
    _criterion: Replicas | None = field(init=False, repr=False, compare=False, default=None)
    _checked: bool = field(init=False, repr=False, compare=False, default=False)

    def __post_init__(self) -> None:
        require_adaptable(self.module)
        object.__setattr__(self, "_held", Replicas(self.module))
        if isinstance(self.loss, nn.Module):
            require_constant(self.loss)
            object.__setattr__(self, "_criterion", Replicas(self.loss))

    @property
    def code(self) -> object:
        """The module."""
        return self.module

    def theta(self) -> Params:
        """The module's trainable parameters as they were when the problem was made."""
        return dict(self._held.theta)

    def inner_loss(self, params: Params, support: tuple[Any, Any]) -> Tensor:
        """The loss on the support set."""
        like = next(iter(params.values()))
        return self._loss(self._held.holding(params, like), support, like)

    def outer_loss(self, params: Params, query: tuple[Any, Any]) -> Tensor:
        """The loss on the query set."""
        return self.inner_loss(params, query)

    def tasks(self, n: int, seed: int) -> Sequence[Task]:
        """What ``draw`` returns."""
        return self.draw(n, seed)

    def check(self, task: Task, theta: Params) -> None:
        """Hold the losses against what a function of parameters and data would do.

        That on the support set returns the same to the bit at a second call, draws no random numbers, writes to nothing
        it is given, and at a moved θ it has the value and gradient of another copy of the module that holds that θ. Its
        second derivatives, where it has any, are symmetric. That on the query set is the same whether the support set
        has been seen or not.

        Raises:
            BadInput: It does not; says which layer, and what to do.
        """
        if self._checked or not has_values((theta, task.support, task.query)):
            return
        like = next(iter(theta.values()))

        def loss(module: nn.Module, data: Any) -> Tensor:
            return self._loss(module, data, like)

        require_pure(Probe(self, self.module, self._held, loss, theta, task.support, task.query))
        self.trust()

    def trust(self) -> None:
        """Take it that the check has passed."""
        object.__setattr__(self, "_checked", True)

    def remedy(self, parameter: str) -> str:
        """What to do about an embedding whose padding has no gradient though the loss depends on it."""
        layer = self._held.module.get_submodule(parameter.rpartition(".")[0])
        row = layer.padding_idx if isinstance(layer, nn.Embedding | nn.EmbeddingBag) else None
        if row is None:
            return ""
        return f"padding_idx = {row} gives that row no gradient; set padding_idx=None, or mask where it is looked up"

    def _loss(self, module: nn.Module, data: tuple[Any, Any], like: Tensor) -> Tensor:
        """The loss of a replica, its own tensors like ``like``."""
        inputs, targets = _pair(data)
        loss = self.loss if self._criterion is None else self._criterion.holding({}, like)
        return loss(_called(module, inputs), targets)


def _pair(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise BadInput(f"a task's support or query is a {type(data).__name__}, not a pair (inputs, targets)")
    inputs, targets = data
    return inputs, targets


def _called(module: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, tuple):
        return module(*inputs)
    return module(**inputs) if isinstance(inputs, Mapping) else module(inputs)
