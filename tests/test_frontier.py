"""What fits into a memory budget."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cell import Cell, Part
from harness.executors import LocalExecutor
from harness.frontier import MOST_STEPS, Frontier, confirmed, explore, largest, sized, unit


def cell(estimator: str = "maml", problem: str = "mlp", steps: int = 4, **parameters: Any) -> Cell:
    size = {"width": 16, "depth": 2, "shots": 8, "queries": 8} if problem == "mlp" else {}
    return Cell(
        problem=Part(name=problem, parameters={**size, **parameters}),
        estimator=Part(name=estimator, parameters={"lam": 1.0}),
        label=estimator,
        steps=steps,
    )


@given(
    base=st.floats(0, 1e6), slope=st.floats(1e-3, 1e6), power=st.floats(0.3, 3), budget=st.floats(1, 1e12),
    start=st.integers(1, 1000),
)  # fmt: skip
def test_the_largest_that_fits_is_found(base: float, slope: float, power: float, budget: float, start: int) -> None:
    def memory(n: int) -> float:
        return base + slope * n**power

    found = largest(memory, budget, start, 10**6)
    assert found == 0 or memory(found) <= budget
    assert found == 10**6 or memory(found + 1) > budget


def test_few_evaluations_suffice_on_a_line() -> None:
    asked: list[int] = []

    def memory(n: int) -> float:
        asked.append(n)
        return 53e6 + 26e6 * n

    assert largest(memory, 80e9, 16, MOST_STEPS) == 3074
    assert len(asked) <= 8


def test_flat_memory_takes_any_number_and_is_asked_for_seldom() -> None:
    asked: list[int] = []

    def memory(n: int) -> float:
        asked.append(n)
        return 80e6

    assert largest(memory, 80e9, 16, MOST_STEPS) == MOST_STEPS
    assert len(asked) <= 3


def test_nothing_fits_where_one_is_too_much_or_unknown() -> None:
    assert largest(lambda n: 10.0 * n, 9, 16, 100) == 0
    assert largest(lambda _: None, 9, 16, 100) == 0
    assert largest(lambda n: 10.0 * n, 0, 16, 100) == 0
    assert largest(lambda n: math.inf if n > 5 else 1.0 * n, 100, 1, 1000) == 5


def test_size_parameters_are_scaled_together() -> None:
    transformer = cell(problem="transformer", width=24, heads=6)
    assert unit(transformer) == ({"width": 4, "heads": 1}, 6)
    assert sized(transformer, 9).size == {"width": 36, "heads": 9}
    sinusoid = cell(problem="sinusoid", hidden=[40, 20])
    assert unit(sinusoid) == ({"hidden": [2, 1]}, 20)
    assert sized(sinusoid, 3).size == {"hidden": [6, 3]}
    assert sized(sinusoid, 20).parameters == 40 + 40 + 40 * 20 + 20 + 20 + 1


@pytest.fixture(scope="module")
def frontiers() -> dict[str, Frontier]:
    return {name: explore(cell(name, steps=32), 1_000_000) for name in ("maml", "maml-replay", "imaml-cg")}


def test_implicit_methods_take_any_k_and_replay_more_than_maml(frontiers: dict[str, Frontier]) -> None:
    assert frontiers["imaml-cg"].any_steps
    assert 32 < frontiers["maml"].steps < frontiers["maml-replay"].steps < MOST_STEPS


def test_the_largest_model_is_larger_where_memory_is_less(frontiers: dict[str, Frontier]) -> None:
    widths = {name: found.largest.size["width"] for name, found in frontiers.items() if found.largest}
    assert 16 < widths["maml"] < widths["imaml-cg"]
    assert explore(cell("maml", width=widths["maml"]), 1_000_000).steps >= 32
    assert explore(cell("maml", width=widths["maml"] + 16), 1_000_000).steps < 32


def test_measuring_finds_the_k_that_was_forecast(frontiers: dict[str, Frontier]) -> None:
    measured = confirmed(frontiers["maml"], 1_000_000, LocalExecutor())
    assert measured.confirmed_steps == frontiers["maml"].steps


def test_a_budget_below_everything_has_no_k_and_no_model() -> None:
    found = explore(cell(), 10)
    assert (found.steps, found.largest) == (0, None)
