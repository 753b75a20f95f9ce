"""The plugin in sessions of its own: beside pytest-xdist, without torch, switched off."""

import pytest

MARKED = """
import pytest

@pytest.mark.flat_memory([1, 4])
def test_grows(steps):
    import torch
    [torch.ones(250_000) for _ in range(steps)]

@pytest.mark.flat_memory([1, 4])
def test_flat(steps):
    import torch
    torch.ones(250_000)

@pytest.mark.limit_peak_memory("0.5 MB")
def test_over():
    import torch
    torch.ones(250_000)
"""

WITHOUT_TORCH = """
import sys

sys.modules["torch"] = None  # from here on `import torch` raises ImportError
"""

PLAIN = """
import sys

import pytest

def test_plain():
    assert not {"numpy", "pydantic", "pandas", "harness.validation"} & sys.modules.keys()

@pytest.mark.limit_peak_memory("1 MB")
def test_marked():
    pass
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_workers_of_xdist_bring_the_same_verdicts(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(test_it=MARKED)
    result = run(pytester, "-n2", "--metagrad-report", "--benchmark-disable", "-W", "error")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "flat_memory: peak memory on cpu goes from 1 MB at K = 1 to 4 MB at K = 4; *",
            "limit_peak_memory: peak of 1 MB on cpu, 500 kB over the limit of 500 kB",
            "test_it.py::test_flat[[]steps=1,4[]]: peak memory on cpu is flat at 1 MB",
        ]
    )


def test_a_session_that_does_not_use_it_needs_no_torch(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(WITHOUT_TORCH)
    pytester.makepyfile(test_it=PLAIN)
    result = run(pytester, "-W", "error")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the test's memory markers need torch, which cannot be imported: import of torch *"])
    result.stdout.no_fnmatch_line("*= metagrad =*")


def test_it_can_be_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=PLAIN)
    result = run(pytester, "-p", "no:imaml-bench")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*Unknown pytest.mark.limit_peak_memory*"])


def test_pytest_explains_the_markers_and_the_fixture(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--markers")
    assert result.ret == 0
    result.stdout.fnmatch_lines_random(
        [
            '@pytest.mark.limit_peak_memory(limit, [*], device="cpu"): *',
            '@pytest.mark.flat_memory(steps, [*], device="cpu"): *',
            "@pytest.mark.gradient_error(tol, [*][*]settings): *",
        ]
    )
