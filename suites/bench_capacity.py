"""Suite capacity as pytest-benchmark tests: ``pytest suites/bench_capacity.py``."""

from typing import Any

import pytest

from harness.benchmarks import bench, cells
from harness.cell import Cell


@pytest.mark.parametrize("cell", cells("capacity"))
def test_meta_gradient(benchmark: Any, cell: Cell) -> None:
    bench(benchmark, cell)
