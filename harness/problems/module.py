"""A user's ``torch.nn.Module`` as a problem."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase  # pyright: ignore[reportPrivateUsage]  (the base of all such layers)
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]

from harness.bilevel import Task
from harness.errors import BadInput
from harness.pytree import Params


@dataclass(frozen=True)
class ModuleProblem:
    """Few-shot learning with any module: θ are its trainable parameters, both losses ``loss(module(inputs), targets)``.

    Parameters with ``requires_grad=False`` when the problem is made are frozen: constants that are neither adapted nor
    given a gradient. They and the buffers follow the dtype and device of the parameters that a loss is given.

    A task's support and query are pairs ``(inputs, targets)``. The module is called functionally and never written
    to. Its losses must be functions of parameters and data alone, so a layer in training mode that keeps running
    statistics or draws random numbers is refused: with either, evaluating a loss again (replay, checkpointing, every
    Hessian-vector product) gives another function. Use ``track_running_stats=False``, or ``eval()`` on the layer.

    Args:
        module: Its parameters, frozen or not, are copied now.
        loss: Maps the module's output and the targets to a scalar.
        draw: ``draw(n, seed)`` returns n tasks, the same for the same seed, on the module's device and of its dtype.

    Raises:
        BadInput: The module has no trainable parameter, or a layer that is not a pure function.
    """

    module: nn.Module
    loss: Callable[[Any, Any], Tensor]
    draw: Callable[[int, int], Sequence[Task]]
    _theta: Params = field(init=False, repr=False, compare=False)
    _constants: Params = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, layer in self.module.named_modules():
            reason = _impurity(layer)
            if reason:
                raise BadInput(f"module {name or type(layer).__name__}: {reason}")
        parameters = dict(self.module.named_parameters())
        theta = {name: each.detach().clone() for name, each in parameters.items() if each.requires_grad}
        if not theta:
            lacks = "has no trainable parameter: all are frozen" if parameters else "has no parameters"
            raise BadInput(f"module {type(self.module).__name__} {lacks}")
        object.__setattr__(self, "_theta", theta)
        frozen = {name: each.detach().clone() for name, each in parameters.items() if not each.requires_grad}
        object.__setattr__(self, "_constants", frozen | dict(self.module.named_buffers()))

    def theta(self) -> Params:
        """The module's trainable parameters as they were when the problem was made."""
        return dict(self._theta)

    def inner_loss(self, params: Params, support: tuple[Any, Any]) -> Tensor:
        """The loss on the support set."""
        inputs, targets = support
        everything = params | _as(next(iter(params.values())), self._constants)
        return self.loss(functional_call(self.module, everything, (inputs,)), targets)

    def outer_loss(self, params: Params, query: tuple[Any, Any]) -> Tensor:
        """The loss on the query set."""
        return self.inner_loss(params, query)

    def tasks(self, n: int, seed: int) -> Sequence[Task]:
        """What ``draw`` returns."""
        return self.draw(n, seed)


def _as(like: Tensor, constants: Params) -> Params:
    """The constants on the device of ``like``, and of its dtype where they are floating point."""
    return {
        name: each.to(like.device, like.dtype if each.is_floating_point() else None) for name, each in constants.items()
    }


def _impurity(layer: nn.Module) -> str | None:
    """Why a layer is not a pure function of its parameters and input, if so."""
    if not layer.training:
        return None
    if isinstance(layer, _NormBase) and layer.track_running_stats:
        return f"{type(layer).__name__} keeps running statistics; set track_running_stats=False or call eval() on it"
    if isinstance(layer, _DropoutNd) and layer.p > 0:
        return f"{type(layer).__name__} draws random numbers; set p=0 or call eval() on it"
    if isinstance(layer, nn.RNNBase | nn.MultiheadAttention) and layer.dropout > 0:
        return f"{type(layer).__name__} has dropout {layer.dropout}; set it to 0 or call eval() on it"
    return None
