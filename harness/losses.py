"""A problem's losses evaluated: what they return is checked, and what they raise is said in one line."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, TypeAlias

import torch
from torch import Tensor

from harness.attention import as_in_training
from harness.bilevel import Checked, Problem
from harness.errors import BadInput, first_line, is_own_fault, story
from harness.out_of_memory import is_out_of_memory
from harness.pytree import Params

Name: TypeAlias = Literal["inner_loss", "outer_loss"]

_UNCOMPILED = "what torch.compile makes has no second derivative; give the function as it was before"
_PLAINLY = "checkpoint by torch.utils.checkpoint.checkpoint with use_reentrant=False and no context_fn"
_REMEDIES = (
    ("to not have been used in the graph", "a loss has to be computed from the parameters it is given"),
    ("Checkpointing is not compatible with .grad()", "checkpoint with use_reentrant=False"),
    ("None of the inputs have requires_grad=True", "checkpoint with use_reentrant=False"),
    ("derivative for", "'fomaml', 'reptile' and 'darts-fd' take no second derivative"),
    ("once_differentiable", "'fomaml', 'reptile' and 'darts-fd' take no second derivative"),
    ("aot_autograd", _UNCOMPILED),
    ("donated buffer", _UNCOMPILED),
    ("selective activation checkpoint", _PLAINLY),
    ("'_GeneratorContextManager' object has no attribute", _PLAINLY),
    ("Inference tensor", "make it outside of torch.inference_mode(), or clone it"),
)
"""What to do, by words of the error."""
_OF_DTYPE = ("dtype", "scalar type", "data type")
_TO_FOLLOW = (
    "the parameters are {dtype}, and the data and all tensors that a module or loss holds have to be; a buffer follows "
    "by itself, another is cast, as in weight.to(outputs)"
)
_TO_FOLLOW_FAR = (
    "the parameters are float64, in which references are computed, and all tensors that a module or loss holds have to "
    "follow; a buffer does by itself, another is cast, as in weight.to(outputs)"
)
ONE_BY_ONE = "torch.func.vmap cannot batch every operation; batching = 'loop' takes the tasks one by one"


def value_of(problem: Problem, name: Name, params: Params, data: Any) -> Tensor:
    """A loss at ``params``, a scalar.

    Raises:
        BadInput: It fails, or returns something else.
    """
    like = next(iter(params.values()))
    wanted = torch.is_grad_enabled() and like.requires_grad
    loss: Callable[[Params, Any], Any] = getattr(problem, name)
    try:  # no context manager where it is hot: small problems would feel it
        if wanted:
            value = loss(params, data)
        else:
            with as_in_training():
                value = loss(params, data)
    except Exception as error:
        raise_named(error, problem, name, like.dtype)
    require_scalar(value, name, like)
    if wanted:
        require_attached(value, name)
    return value


@contextmanager
def faults_of_losses(problem: Problem | None, what: str, dtype: torch.dtype, remedy: str = "") -> Generator[None]:
    """Turn what is raised within the block into what :func:`raise_named` makes of it."""
    try:
        yield
    except Exception as error:
        raise_named(error, problem, what, dtype, remedy)


def raise_named(error: Exception, problem: Problem | None, what: str, dtype: torch.dtype, remedy: str = "") -> NoReturn:
    """Raise what a user's losses raised, as a :class:`BadInput` that begins with ``what``.

    An exception of a problem of this package stays what it is, and so does one that says that memory ran out.

    Args:
        error: What was raised.
        problem: Whose losses they are.
        what: What was done with them.
        dtype: Of the parameters.
        remedy: What to do, where the error does not tell.
    """
    if problem is None or isinstance(error, BadInput) or is_out_of_memory(error):
        raise error
    part = problem.code if isinstance(problem, Checked) else problem
    if is_own_fault(error, part):
        raise error
    advice = _remedy(first_line(error), dtype) or remedy
    raise BadInput(f"{what} raised {story(error, part)}{'; ' if advice else ''}{advice}") from error


def _remedy(words: str, dtype: torch.dtype) -> str:
    for sign, remedy in _REMEDIES:
        if sign in words:
            return remedy
    if not any(sign in words for sign in _OF_DTYPE):
        return ""
    return _TO_FOLLOW_FAR if dtype == torch.float64 else _TO_FOLLOW.format(dtype=short(dtype))


def require_scalar(value: Any, name: str, like: Tensor) -> None:
    """Raise :class:`BadInput` unless ``value`` is a real scalar tensor on the device of ``like``, with its digits."""
    if not isinstance(value, Tensor):
        what = "None" if value is None else f"a {type(value).__name__}"
        raise BadInput(f"{name} returned {what}, not a scalar tensor")
    if value.ndim:
        raise BadInput(f"{name} returned shape {tuple(value.shape)}, not a scalar")
    if value.layout != torch.strided:
        raise BadInput(f"{name} returned a tensor that is {short(value.layout)}, not a dense scalar")
    if not value.is_floating_point():
        raise BadInput(f"{name} returned {short(value.dtype)}, not a floating point number")
    if torch.finfo(value.dtype).eps > torch.finfo(like.dtype).eps:
        raise BadInput(
            f"{name} returned {short(value.dtype)} for parameters of {short(like.dtype)}, so digits are lost; "
            "it must not cast to a narrower type"
        )
    if value.device != like.device:
        raise BadInput(f"{name} returned a tensor on {value.device}, and the parameters are on {like.device}")


def require_attached(value: Tensor, name: str) -> None:
    """Raise :class:`BadInput` unless ``value`` can be differentiated."""
    if not value.requires_grad:
        raise BadInput(
            f"{name} does not depend on the parameters: it is detached, computed under no_grad, or takes none of them"
        )


def short(dtype: torch.dtype | torch.layout) -> str:
    """``float32`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")
