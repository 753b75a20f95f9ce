"""Suite accuracy as pytest-benchmark tests: ``pytest suites/bench_accuracy.py``."""

from typing import Any

import pytest

from harness.benchmarks import bench, cells
from harness.cell import Cell


@pytest.mark.parametrize("cell", cells("accuracy"))
def test_meta_gradient(benchmark: Any, cell: Cell) -> None:
    bench(benchmark, cell)
