"""What can be said of a module from its structure, before any data: which cannot be a problem, and why."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase  # pyright: ignore[reportPrivateUsage]  (the base of all such layers)
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]
from torch.nn.parameter import is_lazy

from harness.errors import BadInput

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""Those of parameters that can be adapted."""


def require_adaptable(module: nn.Module) -> None:
    """A module whose layers and parameters do not rule out that it is a differentiable function of its parameters.

    Raises:
        BadInput: They do; names the layer and the remedy.
    """
    if not isinstance(module, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]  (a user's)
        raise BadInput(f"module: a {type(module).__name__} is not a torch.nn.Module")
    _require_layers("module", module)
    parameters = dict(module.named_parameters())
    trainable = {name: each for name, each in parameters.items() if each.requires_grad}
    for name, each in parameters.items():
        reason = next(_faults(each), None)
        if reason:
            raise BadInput(f"module {type(module).__name__}: parameter '{name}' {reason}")
    if not trainable:
        lacks = "has no trainable parameter: all are frozen" if parameters else "has no parameters"
        raise BadInput(f"module {type(module).__name__} {lacks}")
    _require_alike(module, trainable)


def require_constant(loss: nn.Module) -> None:
    """A loss that is a module, and whose layers do not rule out that it is a function of its arguments.

    Raises:
        BadInput: They do, or it has parameters to be trained.
    """
    _require_layers("loss", loss)
    trainable = next((name for name, each in loss.named_parameters() if each.requires_grad), None)
    if trainable:
        raise BadInput(
            f"loss {type(loss).__name__} has a trainable parameter '{trainable}'; move it into the module, or freeze it"
        )


def _require_layers(what: str, module: nn.Module) -> None:
    for name, layer in module.named_modules():
        reason = next(_reasons(layer), None)
        if reason:
            raise BadInput(f"{what} {called(name, layer)}: {reason}")


def called(name: str, layer: nn.Module) -> str:
    """What messages call a layer: its name within the module, or its type where it is the whole of it."""
    return name or type(layer).__name__


def _reasons(layer: nn.Module) -> Iterator[str]:
    """Why a layer cannot be one of a problem's."""
    kind = type(layer).__name__
    if isinstance(layer, torch.jit.ScriptModule):
        yield "is compiled by torch.jit, which cannot be called with other parameters; give the module it was made from"
    if isinstance(layer, nn.DataParallel | nn.parallel.DistributedDataParallel):
        yield f"{kind} spreads a batch over devices; give the module within, its .module"
    compiled = layer._compiled_call_impl is not None  # pyright: ignore[reportPrivateUsage]  (no public attribute tells)
    if compiled or hasattr(layer, "_orig_mod"):
        yield "is compiled by torch.compile, which has no second derivative; give the module as it was before"
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        if layer.sparse:
            yield f"{kind} has sparse gradients; set sparse=False"
        if layer.max_norm is not None:
            yield f"{kind} writes to its weight in the forward pass; set max_norm=None"
        if layer.scale_grad_by_freq:
            yield f"{kind} scales its gradient, which is then that of no function; set scale_grad_by_freq=False"
    if any(getattr(each, "__slots__", ()) for each in type(layer).__mro__ if issubclass(each, nn.Module)):
        yield f"{kind} keeps attributes in __slots__, where replicas of it have none; leave __slots__ out"
    if layer._backward_hooks or layer._backward_pre_hooks:  # pyright: ignore[reportPrivateUsage]
        yield f"{kind} has a backward hook, which no loss knows of; remove it, and put what it does into forward()"
    yield from _impurities(layer)


def _impurities(layer: nn.Module) -> Iterator[str]:
    """Why a layer of PyTorch's is not a pure function in training mode."""
    kind = type(layer).__name__
    if not layer.training:
        return
    if isinstance(layer, _NormBase) and layer.track_running_stats:
        yield f"{kind} keeps running statistics; set track_running_stats=False or call eval() on it"
    if isinstance(layer, _DropoutNd) and layer.p > 0:
        yield f"{kind} draws random numbers; set p=0 or call eval() on it"
    if isinstance(layer, nn.RReLU) and layer.lower < layer.upper:
        yield f"{kind} draws random numbers; set lower=upper or call eval() on it"
    if isinstance(layer, nn.RNNBase | nn.MultiheadAttention) and layer.dropout > 0:
        yield f"{kind} has dropout {layer.dropout}; set it to 0 or call eval() on it"


def _faults(parameter: Tensor) -> Iterator[str]:
    """Why a parameter cannot be one of a problem's."""
    if is_lazy(parameter):
        yield "has no shape yet; run the module once on a batch"
    elif parameter.requires_grad:
        if parameter.is_complex():
            yield f"is {_short(parameter)}; hold torch.view_as_real of it, and take view_as_complex in forward()"
        if parameter.dtype not in DTYPES:
            yield f"is {_short(parameter)}, which is not trained in; freeze it, or cast the module"
        if parameter.layout != torch.strided:
            yield f"is {parameter.layout}; parameters are dense"
        if parameter._backward_hooks:
            yield "has a gradient hook, which no loss knows of; remove it, and put what it does into the module"


def _require_alike(module: nn.Module, trainable: dict[str, nn.Parameter]) -> None:
    """All of one dtype on one device."""
    first_name, first = next(iter(trainable.items()))
    for name, each in trainable.items():
        for what, own, like in (("dtype", each.dtype, first.dtype), ("device", each.device, first.device)):
            if own != like:
                raise BadInput(
                    f"module {type(module).__name__}: trainable parameters differ in {what}: '{first_name}' is "
                    f"{_plain(like)}, '{name}' {_plain(own)}; move the module as a whole, as in module.to(...)"
                )


def _short(parameter: Tensor) -> str:
    return _plain(parameter.dtype)


def _plain(value: object) -> str:
    return str(value).removeprefix("torch.")
