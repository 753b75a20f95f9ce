"""Parts by name, with their parameters checked before they are built."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy
import pytest

from harness.errors import BadInput
from harness.registry import PROBLEMS, Registry, all_parameters


def odd(size: int, *rest: int, **others: Any) -> tuple[int, dict[str, Any]]:
    return size, others


def test_a_part_that_takes_any_parameter_still_needs_its_own() -> None:
    registry = Registry("oddity", "imaml_bench.oddities", {"odd": f"{__name__}:odd"})
    assert registry.create("odd", size=3, colour="red") == (3, {"colour": "red"})
    with pytest.raises(BadInput, match=r"^oddity 'odd': needs size$"):
        registry.create("odd", colour="red")


@dataclass(frozen=True)
class Plain:
    rate: float = 1
    sizes: Sequence[float] = (4, 2.5)
    exact: bool = True
    mode: float | Literal["auto"] = "auto"
    folder: str | None = None
    names: list[str] = field(default_factory=lambda: ["a"])
    hook: Any = print


class ByHand:
    def __init__(self, rate: float, size: int = 5, **others: Any) -> None: ...


def of_nothing_known(rate: "no_such_type" = 1) -> None: ...  # noqa: F821  # pyright: ignore


@pytest.mark.parametrize(
    ("part", "given", "told"),
    [
        (Plain, {}, {"rate": 1.0, "sizes": [4.0, 2.5], "exact": True, "mode": "auto", "names": ["a"]}),
        (
            Plain,
            {"mode": 2, "sizes": [1], "exact": False, "folder": "x"},
            {"mode": 2.0, "sizes": [1.0], "exact": False, "folder": "x", "rate": 1.0, "names": ["a"]},
        ),
        (ByHand, {"rate": 2, "colour": 3}, {"rate": 2.0, "colour": 3, "size": 5}),
        (of_nothing_known, {}, {"rate": 1}),
        (odd, {"size": numpy.int64(3)}, {"size": 3}),
    ],
)
def test_all_parameters_are_those_given_and_the_defaults_as_they_are_declared(
    part: Callable[..., Any], given: dict[str, Any], told: dict[str, Any]
) -> None:
    found = all_parameters(part, given)
    assert repr(sorted(found.items())) == repr(sorted(told.items()))  # 1 is not 1.0 here
    assert list(found)[: len(given)] == list(given)


@pytest.mark.parametrize("number", [numpy.int64(3), numpy.uint8(3), numpy.int64(3).astype(object)])
def test_numbers_of_numpy_are_numbers(number: Any) -> None:
    problem = PROBLEMS.create("linear", dim=number, n=numpy.int32(6), kappa=numpy.float32(4), seed=numpy.int64(1))
    assert (type(problem.dim), problem.dim, type(problem.kappa), problem.kappa) == (int, 3, float, 4.0)
    network = PROBLEMS.create("sinusoid", hidden=[numpy.int64(4), number])
    assert repr(network.hidden) == "(4, 3)"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("dim", 10**18, "dim: a whole number above 2,147,483,647 is not taken"),
        ("n", 10**5000, "n: a whole number above 2,147,483,647 is not taken"),
        ("kappa", 10**400, "kappa: 1000"),
        ("seed", 2**31, "seed: a whole number above 2,147,483,647 is not taken"),
    ],
    ids=["10**18", "10**5000", "10**400", "2**31"],
)
def test_whole_numbers_have_a_bound(name: str, value: int, why: str) -> None:
    with pytest.raises(BadInput, match=rf"^problem 'linear': {why}"):
        PROBLEMS.create("linear", **{name: value})
