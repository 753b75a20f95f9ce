"""The markers, and what their arguments ask of a test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeVar
from unittest import TestCase

import pytest

from harness.checks import is_count, require_positive
from harness.errors import BadInput
from harness.units import parse_bytes

MARKERS = (
    "limit_peak_memory(limit, *, device=\"cpu\"): fail if the peak memory of the test's body, as PyTorch's allocator "
    'counts it, exceeds the limit: "24 MB" (decimal), "24 MiB" or bytes. What fixtures and setUp hold, and what '
    'threads of the test\'s own allocate, does not count. On a GPU: "cuda", "cuda:1", or "auto" for the first there '
    "is, else the CPU. "
    "With pytest-benchmark the body is run twice: timed, then measured.",
    'flat_memory(steps, *, device="cpu"): run the test\'s body once for each of the inner steps, given to it as '
    "`steps`, after an unmeasured run at the fewest, and fail if its peak memory is not flat: within 1 % over all of "
    "them. The most must be at least four times the fewest. Fixtures are set up once.",
    "gradient_error(tol, **settings): the largest relative error that metagrad.validate(fn) allows in the test, and "
    'the settings it takes: vs="backprop" or "implicit", problem, lam, steps, lr and the others of harness.validate. '
    "Fail if the test validates nothing.",
)
"""As ``pytest --markers`` shows them."""

T = TypeVar("T")


@dataclass(frozen=True)
class MemoryDemand:
    """What a test's memory is held to."""

    device: str
    """``cpu`` or ``cuda:I``."""
    limit_bytes: int | None
    """Of ``limit_peak_memory``."""
    steps: tuple[int, ...]
    """Of ``flat_memory``, ascending; empty without it."""


@dataclass(frozen=True)
class Demands:
    """What a test's markers ask of it."""

    memory: MemoryDemand | None
    gradient: dict[str, Any] | None
    """Keywords for ``harness.validate``, of ``gradient_error``."""


def demands(item: pytest.Item) -> Demands | None:
    """What an item's markers ask; ``None`` where it has none.

    Raises:
        BadInput: A marker's arguments are wrong, or the test cannot do what it asks.
    """
    memory = _memory(item)
    gradient = _arguments(item, gradient_error)
    return Demands(memory, gradient) if memory or gradient else None


def limit_peak_memory(limit: str | float, *, device: str = "cpu") -> tuple[int, str]:
    """Largest peak in bytes, and where."""
    return parse_bytes(limit), device


def flat_memory(steps: Sequence[int], *, device: str = "cpu") -> tuple[tuple[int, ...], str]:
    """Inner steps in ascending order, and the device."""
    from harness.scaling import FLAT_OVER

    if not isinstance(steps, list | tuple | range) or not all(map(is_count, steps)):
        raise BadInput(f"steps: {steps!r} is not a list of positive whole numbers")
    ascending = tuple(sorted(set(steps)))
    if not ascending or ascending[-1] < FLAT_OVER * ascending[0]:
        raise BadInput(f"steps: {list(steps)} has to go from one K to {FLAT_OVER} times that, as in [1, 4, 16]")
    return ascending, device


def gradient_error(tol: float, **settings: Any) -> dict[str, Any]:
    """Keywords for ``harness.validate``."""
    require_positive("tol", tol)
    return {"tol": tol, **settings}


def flat_steps(node: pytest.Item) -> tuple[int, ...]:
    """The inner steps ``flat_memory`` names, ascending; none where the test does not have it.

    Raises:
        BadInput: Its arguments are wrong.
    """
    flat = _arguments(node, flat_memory)
    return flat[0] if flat else ()


def is_unittest(item: pytest.Item) -> bool:
    """Whether an item is a method of ``unittest.TestCase``."""
    return issubclass(getattr(item, "cls", None) or object, TestCase)


def _memory(item: pytest.Item) -> MemoryDemand | None:
    limit, flat = _arguments(item, limit_peak_memory), _arguments(item, flat_memory)
    if limit is None and flat is None:
        return None
    if is_unittest(item) and iscoroutinefunction(getattr(item, "obj", None)):
        name = "flat_memory" if limit is None else "limit_peak_memory"
        raise BadInput(
            f"{name}: the body of an async method of a TestCase cannot be measured; make it a plain function"
        )
    if flat is not None:
        _require_steps(item)
    devices = sorted({found[1] for found in (limit, flat) if found})
    if len(devices) > 1:
        raise BadInput(f"limit_peak_memory and flat_memory: one test is measured on one device, not {devices}")
    from harness.machine import resolve_device

    try:
        device = resolve_device(devices[0])
    except BadInput as error:
        raise BadInput(f"{'flat_memory' if limit is None else 'limit_peak_memory'}: {error}") from None
    return MemoryDemand(device, limit[0] if limit else None, flat[0] if flat else ())


def _require_steps(item: pytest.Item) -> None:
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    if "steps" not in fixtures:
        raise BadInput("flat_memory: the test has to take the inner steps as its argument 'steps'")
    if "benchmark" in fixtures:
        raise BadInput("flat_memory: the test is run at several K and cannot take 'benchmark', which times one")


def _arguments(node: pytest.Item, marker: Callable[..., T]) -> T | None:
    """What the marker nearest to the test says."""
    name = marker.__name__
    found = list(node.iter_markers_with_node(name))
    if not found:
        return None
    (holder, mark), *others = found
    if any(other is holder for other, _ in others):
        raise BadInput(f"{name}: given twice; a test has one")
    try:
        return marker(*mark.args, **mark.kwargs)
    except TypeError as error:
        raise BadInput(str(error)) from None
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None
