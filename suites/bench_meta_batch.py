"""Suite meta_batch as pytest-benchmark tests: ``pytest suites/bench_meta_batch.py``."""

from typing import Any

import pytest

from harness.benchmarks import bench, cells
from harness.cell import Cell


@pytest.mark.parametrize("cell", cells("meta_batch"))
def test_meta_gradient(benchmark: Any, cell: Cell) -> None:
    bench(benchmark, cell)
