"""Suite fig2b as pytest-benchmark tests: ``pytest suites/bench_fig2b.py``."""

from typing import Any

import pytest

from harness.benchmarks import bench, cells
from harness.cell import Cell


@pytest.mark.parametrize("cell", cells("fig2b"))
def test_meta_gradient(benchmark: Any, cell: Cell) -> None:
    bench(benchmark, cell)
