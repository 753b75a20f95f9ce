"""What a call of an estimator has to return, and must leave as it found it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from harness.bilevel import Task
from harness.errors import BadInput
from harness.estimators import BatchMetaGradient
from harness.pytree import Params


class Diverged(Exception):
    """A meta-gradient or query loss is not finite, or a linear solve came to nothing; the message is one line."""


def require_result(found: object, theta: Params, steps: int) -> BatchMetaGradient:
    """What an estimator returned of a meta-batch, where it is one.

    Raises:
        BadInput: It is no meta-gradient of ``theta``: its names, shapes or dtypes differ, or something is missing.
        Diverged: A number of it is not finite.
    """
    grad, loss = getattr(found, "grad", None), getattr(found, "query_loss", None)
    if not isinstance(grad, Mapping) or loss is None or not hasattr(found, "counts"):
        raise BadInput(f"the estimator returned a {type(found).__name__}, not a BatchMetaGradient with a dict as grad")
    require_gradient(grad, theta, steps)
    loss = loss if isinstance(loss, Tensor) else torch.tensor(loss, device="cpu")
    if loss.numel() != 1 or loss.is_complex():
        raise BadInput(
            f"the estimator's query_loss has shape {tuple(loss.shape)} and dtype {loss.dtype}; a real scalar is due"
        )
    if not bool(loss.isfinite().all()):
        raise Diverged(f"the query loss is not finite at K = {steps}")
    return cast(BatchMetaGradient, found)  # it has all that one has


def require_gradient(grad: Mapping[str, Any], theta: Params, steps: int) -> None:
    """Refuse a meta-gradient that has not one finite tensor of its shape and dtype for each parameter of ``theta``.

    Raises:
        BadInput: Names, types, shapes or dtypes differ.
        Diverged: A number of it is not finite.
    """
    missing, extra = [name for name in theta if name not in grad], [name for name in grad if name not in theta]
    if missing or extra:
        which = f"lacks {_listed(missing)}" if missing else f"has {_listed(extra)}, which theta has not"
        raise BadInput(f"the meta-gradient {which}")
    for name, like in theta.items():
        tensor = grad[name]
        if not isinstance(tensor, Tensor):
            what = "None" if tensor is None else f"a {type(tensor).__name__}"
            raise BadInput(f"the meta-gradient's '{name}' is {what}, not a tensor")
        for what in ("shape", "dtype", "device"):
            its, due = getattr(tensor, what), getattr(like, what)
            if its != due:
                its, due = (tuple(each) if what == "shape" else each for each in (its, due))
                raise BadInput(f"the meta-gradient's '{name}' has {what} {its}, theta's has {due}")
    for name in theta:
        if not bool(grad[name].isfinite().all()):
            raise Diverged(f"the meta-gradient is not finite at K = {steps}")


@dataclass(frozen=True)
class Surroundings:
    """What calls share, and no call may change: settings, random states, θ and the tasks' data."""

    settings: dict[str, object]
    """By name: what another value of changes how the next calls are computed."""
    random_states: dict[str, bytes]
    """A digest of each generator's state."""
    data: dict[str, bytes]
    """A digest of θ's and the tasks' tensors."""

    @classmethod
    def of(cls, theta: Params, tasks: Sequence[Task]) -> Self:
        """The surroundings as they are. Nothing is kept on the device."""
        return cls(
            settings={
                "torch's number of threads": torch.get_num_threads(),
                "torch's default dtype": torch.get_default_dtype(),
                "torch's default device": torch.get_default_device(),
                "whether gradients are recorded": torch.is_grad_enabled(),
                "torch's inference mode": torch.is_inference_mode_enabled(),
                "automatic casting": torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"),
                "the precision of matrix products": torch.get_float32_matmul_precision(),
                "the use of deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
                "torch's anomaly detection": torch.is_anomaly_enabled(),
                "torch's flushing of denormal numbers": _flushes_denormals(),
                "cuDNN's benchmarking": torch.backends.cudnn.benchmark,
            },
            random_states={
                "torch's": _digest(torch.get_rng_state()),
                **({"CUDA's": _digest(torch.cuda.get_rng_state_all())} if torch.cuda.is_initialized() else {}),
                "Python's": blake2b(repr(random.getstate()).encode()).digest(),
                "NumPy's": blake2b(repr(np.random.get_state(legacy=False)).encode()).digest(),
            },
            data={
                "theta": _digest(theta),
                "the tasks' support data": _digest([task.support for task in tasks]),
                "the tasks' query data": _digest([task.query for task in tasks]),
            },
        )

    def require_unchanged(self, theta: Params, tasks: Sequence[Task]) -> None:
        """Refuse what calls changed since.

        Raises:
            BadInput: Something is not as it was; says what, and what would be right.
        """
        now = Surroundings.of(theta, tasks)
        for name, before in self.settings.items():
            if now.settings[name] != before:
                raise BadInput(f"the estimator changed {name} from {before} to {now.settings[name]}; set it back")
        for name, state in now.random_states.items():
            if self.random_states.get(name, state) != state:
                raise BadInput(
                    f"the estimator drew from {name} global random state: no two calls are alike; "
                    "draw from a generator of its own, seeded in each call"
                )
        for name, digest in self.data.items():
            if now.data[name] != digest:
                raise BadInput(
                    f"the estimator changed {name} in place: later calls compute something else; work on a copy"
                )


def _flushes_denormals() -> bool:
    return float(torch.tensor([1e-310], dtype=torch.float64, device="cpu").mul(1.0)) == 0.0


def _digest(data: Any) -> bytes:
    digest = blake2b()
    for leaf in pytree.tree_leaves(data):
        if isinstance(leaf, Tensor):
            flat = leaf.detach().cpu().reshape(-1).contiguous()
            digest.update(f"{leaf.dtype} {tuple(leaf.shape)} ".encode())
            digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        else:
            digest.update(repr(leaf).encode())
    return digest.digest()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
