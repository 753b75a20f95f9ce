"""The pytest plugin's markers on a CUDA device."""

from importlib import import_module

import pytest
import torch

import_module("harness.pytest_plugin.memory")  # an inner run forgets what it was the first to import

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; run `make test-gpu` where there is one"),
]

TESTS = """
import pytest, torch

def mebibytes(n):
    return torch.empty(n * 2**20, dtype=torch.uint8, device="cuda")

@pytest.mark.limit_peak_memory("4 MiB", device="cuda")
def test_fits():
    mebibytes(4)

@pytest.mark.limit_peak_memory("4 MiB", device="auto")
def test_over():
    kept = mebibytes(4), mebibytes(1)

@pytest.mark.flat_memory([1, 4, 16], device="cuda")
def test_flat(steps):
    for _ in range(steps):
        mebibytes(4)

@pytest.mark.flat_memory([1, 4, 16], device="cuda")
def test_grows(steps):
    kept = [mebibytes(4) for _ in range(steps)]

def test_by_hand(metagrad):
    assert metagrad.peak_bytes(lambda: mebibytes(4), device="cuda") == 4 * 2**20
"""


def test_markers_read_the_device_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(
        [
            "limit_peak_memory: peak of 5.24 MB on cuda:0, 1.05 MB over the limit of 4.19 MB",
            "flat_memory: peak memory on cuda:0 grows by 4.19 MB a step; *",
        ]
    )
