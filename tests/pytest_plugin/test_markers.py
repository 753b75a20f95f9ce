"""The markers and the fixture, in test files of their own."""

import json
from importlib import import_module
from xml.etree import ElementTree

import pytest

from harness.validation import validate

# An inner run forgets what it was the first to import; these it would share with the tests after it.
for module in ("estimators.first_order", "estimators.unrolled", "problems.linear", "pytest_plugin.memory"):
    import_module(f"harness.{module}")

IMPORTS = "import pytest, torch\n\nMEGABYTE = 250_000\n"

LIMITS = """
import gc, unittest

@pytest.fixture
def held():
    return torch.ones(8 * MEGABYTE)

@pytest.mark.limit_peak_memory("1 MB")
def test_fits(held):
    torch.ones(MEGABYTE)

@pytest.mark.limit_peak_memory(999_999)
def test_over():
    torch.ones(MEGABYTE)

@pytest.mark.limit_peak_memory("1 KiB")
class TestClass(unittest.TestCase):
    def test_method(self):
        torch.ones(300)

    @pytest.mark.limit_peak_memory("1.2 kB")
    def test_nearest(self):
        torch.ones(300)

@pytest.mark.xfail(strict=True, reason="known")
@pytest.mark.limit_peak_memory("0.5 MB")
def test_known():
    torch.ones(MEGABYTE)

@pytest.mark.limit_peak_memory("1 MB")
def test_own_failure():
    torch.ones(2 * MEGABYTE)
    raise ValueError("mine")

@pytest.mark.limit_peak_memory("1 MB")
def test_profiles():
    with torch.profiler.profile():
        pass

@pytest.mark.limit_peak_memory("1 MB")
def test_nested(metagrad):
    metagrad.peak_bytes(lambda: None)

def test_by_hand(metagrad):
    assert metagrad.peak_bytes(lambda: torch.ones(MEGABYTE)) == 1_000_000

def test_garbage_of_before(metagrad):
    def leave():
        cycle = [torch.ones(4 * MEGABYTE)]
        cycle.append(cycle)

    def collect():
        gc.collect()
        torch.ones(MEGABYTE)

    assert metagrad.peak_bytes(leave) == 4_000_000
    assert metagrad.peak_bytes(collect) == 1_000_000
"""

FLAT = """
SEEN, CACHE = [], []

@pytest.mark.flat_memory(steps=[16, 1, 4])
def test_flat(steps):
    SEEN.append(steps)
    if not CACHE:
        CACHE.append(torch.ones(4 * MEGABYTE))
    for _ in range(steps):
        torch.ones(MEGABYTE)

def test_ran_at_every_k():
    assert SEEN == [1, 1, 4, 16]

@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.flat_memory([1, 2, 4])
def test_grows(steps, each):
    [torch.ones(each * MEGABYTE) for _ in range(steps)]

@pytest.mark.flat_memory([1, 4])
@pytest.mark.limit_peak_memory("0.5 MB")
def test_flat_and_over(steps):
    torch.ones(MEGABYTE)

@pytest.mark.flat_memory([1, 4])
def test_nothing(steps):
    pass

@pytest.mark.flat_memory([1, 4])
def test_raises(steps):
    torch.ones(MEGABYTE)
    assert steps < 4

@pytest.fixture
def made(steps):
    return steps

@pytest.mark.flat_memory([1, 4])
def test_fixture_of_steps(steps, made):
    pass
"""

GRADIENTS = """
from functools import partial

pytestmark = pytest.mark.gradient_error(1e-6, vs="backprop", steps=5, lr=0.1)

def query_gradient(problem, task, theta):
    theta = {"w": theta["w"].requires_grad_()}
    return dict(zip(theta, torch.autograd.grad(problem.outer_loss(theta, task.query), theta["w"])))

def test_right(metagrad):
    report = metagrad.validate("maml")
    assert report.tolerance == 1e-6
    assert report.settings["steps"] == 5

def test_wrong(metagrad):
    metagrad.validate(query_gradient, dim=3, seeds=1)

def test_call_before_marker(metagrad):
    assert metagrad.validate("fomaml", tol=10.0, steps=2).settings["steps"] == 2

@pytest.mark.gradient_error(10.0, vs="backprop", lam=1.0, steps=3, lr=0.1)
def test_nearest(metagrad):
    assert metagrad.validate(query_gradient).settings["lam"] == 1.0

def test_validates_nothing(metagrad):
    pass

def test_bad_setting(metagrad):
    metagrad.validate("maml", vs="backprob")
"""

BAD = {
    'limit_peak_memory("24 MX")': "limit_peak_memory: '24 MX' is not a size in bytes: write it as in '24 MB' *",
    "limit_peak_memory()": "limit_peak_memory() missing 1 required positional argument: 'limit'",
    'limit_peak_memory(1, devise="cpu")': "limit_peak_memory() got an unexpected keyword argument 'devise'",
    'limit_peak_memory(1, device="gpu")': "limit_peak_memory: unknown device 'gpu': did you mean 'cpu'?",
    "flat_memory([1, 2])": "flat_memory: steps: [1, 2] has to go from one K to 4 times that, as in [1, 4, 16]",
    "flat_memory([0, 4])": "flat_memory: steps: [0, 4] is not a list of positive whole numbers",
    "flat_memory([1, 4])": "flat_memory: the test has to take the inner steps as its argument 'steps'",
    "gradient_error('a')": "gradient_error: tol: 'a' is not a number above 0",
    "gradient_error()": "gradient_error() missing 1 required positional argument: 'tol'",
}


def run(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=IMPORTS + source)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error", "--strict-markers", *arguments)


def test_a_limit_holds_the_body_of_a_test(pytester: pytest.Pytester) -> None:
    result = run(pytester, LIMITS)
    result.assert_outcomes(passed=4, failed=5, xfailed=1)
    over, method = "peak of 1 MB on cpu, 1 B over the limit of 1.00 MB", "peak of 1.20 kB on cpu, 176 B over the limit"
    result.stdout.fnmatch_lines(
        [
            f"limit_peak_memory: {over}",
            "test_it.py:15",
            f"limit_peak_memory: {method} of 1.02 kB",
            "E *ValueError: mine",
            "not measured: torch's profiler ran within what was measured, and cannot be nested",
            "E *BadInput: metagrad.peak_bytes: the memory is being measured already, *",
            "FAILED test_it.py::test_over - *",
            "FAILED test_it.py::TestClass::test_method - *",
        ]
    )
    result.stdout.no_fnmatch_line("*memory.py*")


UNITTEST = """
import unittest

@pytest.mark.limit_peak_memory("1 MB")
class TestMethods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = torch.ones(4 * MEGABYTE)

    def setUp(self):
        self.held = torch.ones(2 * MEGABYTE)
        self.addCleanup(lambda: torch.ones(8 * MEGABYTE))

    def tearDown(self):
        torch.ones(16 * MEGABYTE)

    def test_fits(self):
        torch.ones(MEGABYTE)

    def test_over(self):
        torch.ones(MEGABYTE + 1)

    def test_own_failure(self):
        self.assertEqual(1, 2)

    def test_skips(self):
        self.skipTest("not today")

    @unittest.skip("never")
    def test_skipped(self):
        torch.ones(3 * MEGABYTE)

    @unittest.expectedFailure
    def test_expected(self):
        torch.ones(3 * MEGABYTE)

class TestAsync(unittest.IsolatedAsyncioTestCase):
    @pytest.mark.limit_peak_memory("1 MB")
    async def test_waits(self):
        torch.ones(MEGABYTE)

class TestFixtures:
    def setup_method(self):
        self.held = torch.ones(2 * MEGABYTE)

    @pytest.mark.limit_peak_memory("1 MB")
    def test_plain(self):
        torch.ones(MEGABYTE)
"""


def test_what_a_testcase_sets_up_is_no_part_of_its_tests_memory(pytester: pytest.Pytester) -> None:
    result = run(pytester, UNITTEST, "--metagrad-report")
    result.assert_outcomes(passed=2, failed=2, errors=1, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "limit_peak_memory: the body of an async method of a TestCase cannot be measured; make it a plain function",
            "limit_peak_memory: peak of 1.00 MB on cpu, 4 B over the limit of 1 MB",
            "E *AssertionError: 1 != 2",
            "*TestMethods::test_fits: peak of 1 MB on cpu, 1 MB allowed",
            "*TestFixtures::test_plain: peak of 1 MB on cpu, 1 MB allowed",
        ]
    )


def test_flat_memory_is_one_verdict_over_all_k(pytester: pytest.Pytester) -> None:
    result = run(pytester, FLAT)
    result.assert_outcomes(passed=2, failed=5, errors=1)
    result.stdout.fnmatch_lines(
        [
            "flat_memory: fixture 'made' takes steps, which changes within the test: build it there",
            "*_ test_grows[[]steps=1,2,4-1[]] _*",
            "flat_memory: peak memory on cpu grows by 1 MB a step; flat is within 1% of the most",
            "   steps        peak",
            "       1        1 MB",
            "       2        2 MB",
            "       4        4 MB",
            "test_it.py:18",
            "flat_memory: peak memory on cpu grows by 2 MB a step; *",
            "limit_peak_memory: peak of 1 MB on cpu at steps = 1, 500 kB over the limit of 500 kB",
            "flat_memory: the test allocated nothing on cpu",
            "E *assert 4 < 4",
            "E *flat_memory: at steps = 4",
        ]
    )


def test_gradient_error_holds_what_the_test_validates(pytester: pytest.Pytester) -> None:
    result = run(pytester, GRADIENTS)
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *AssertionError: query_gradient on linear(dim=3), float64, against the backprop reference: FAILED",
            "E *lam = 0.0, steps = 5, lr = 0.1; relative error allowed: 1e-06",
            "E *likely cause: *",
            "gradient_error: the test validated nothing: call metagrad.validate(fn)",
            "E *BadInput: unknown reference 'backprob': did you mean 'backprop'?",
        ]
    )
    result.stdout.no_fnmatch_line("*compare.py*")


def test_wrong_arguments_are_errors_of_their_test_alone(pytester: pytest.Pytester) -> None:
    marked = "".join(f"\n@pytest.mark.{mark}\ndef test_{i}():\n    pass\n" for i, mark in enumerate(BAD))
    others = """
def test_other():
    pass

@pytest.mark.flat_memory([1, 4])
def test_times(steps, benchmark):
    pass

@pytest.mark.limit_peak_memory(1)
@pytest.mark.limit_peak_memory(2)
def test_twice():
    pass

@pytest.mark.skip
@pytest.mark.limit_peak_memory(1, device="cuda:9999")
def test_skipped():
    pass
"""
    result = run(pytester, marked + others)
    result.assert_outcomes(passed=1, errors=len(BAD) + 2, skipped=1)
    expected = [
        line for i, message in enumerate(BAD.values()) for line in (f"*_ ERROR at setup of test_{i} _*", message)
    ]
    result.stdout.fnmatch_lines(
        [
            *expected,
            "flat_memory: the test is run at several K and cannot take 'benchmark', which times one",
            "limit_peak_memory: given twice; a test has one",
        ]
    )
    result.stdout.no_fnmatch_line("*another exception*")


def test_a_timed_test_is_measured_in_a_run_of_its_own(pytester: pytest.Pytester) -> None:
    source = """
RUNS = []

def work():
    RUNS[-1].add(torch.autograd._profiler_enabled())
    torch.ones(MEGABYTE)

@pytest.mark.limit_peak_memory("1.5 MB")
def test_timed(benchmark):
    RUNS.append(set())
    benchmark.pedantic(work, rounds=3)
    print(f"runs = {RUNS}, timed = {benchmark.stats is not None}")

@pytest.mark.limit_peak_memory("0.5 MB")
def test_timed_and_over(benchmark):
    benchmark.pedantic(torch.ones, args=(MEGABYTE,), rounds=3)
"""
    timed = run(pytester, source, "--benchmark-json=out.json", "-s")
    timed.assert_outcomes(passed=1, failed=1)
    timed.stdout.fnmatch_lines(["*runs = [[]{False}[]], timed = True", "*runs = [[]{False}, {True}[]], timed = True"])
    times = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert [(each["stats"]["rounds"], each["extra_info"]) for each in times] == [(3, {"peak_bytes": 1_000_000})] * 2
    once = run(pytester, source, "--benchmark-disable", "-s")
    once.assert_outcomes(passed=1, failed=1)
    once.stdout.fnmatch_lines(["*runs = [[]{True}[]], timed = False"])


def test_what_was_measured_is_reported(pytester: pytest.Pytester) -> None:
    source = """
@pytest.mark.limit_peak_memory("1.5 MB")
def test_fits():
    torch.ones(MEGABYTE)

@pytest.mark.flat_memory([1, 4])
def test_flat(steps, metagrad):
    torch.ones(MEGABYTE)
    metagrad.validate("fomaml", vs="backprop", steps=steps, lr=0.1, tol=0.9, seeds=1)

def test_unmarked():
    pass
"""
    result = run(pytester, source, "--metagrad-report", "--junitxml=out.xml")
    result.assert_outcomes(passed=3)
    error = validate("fomaml", vs="backprop", steps=4, lr=0.1, tol=0.9, seeds=1).draws[0].relative_error
    start = result.outlines.index(next(line for line in result.outlines if "= metagrad =" in line))
    assert result.outlines[start + 1 : start + 4] == [
        "test_it.py::test_fits: peak of 1 MB on cpu, 1.50 MB allowed",
        f"test_it.py::test_flat[steps=1,4]: relative error of fomaml {error:.2g} against backprop, 0.9 allowed",
        next(line for line in result.outlines if "peak memory on cpu" in line),
    ]
    cases = {case.attrib["name"]: case for case in ElementTree.parse(pytester.path / "out.xml").iter("testcase")}
    found = {name: {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")} for name, case in cases.items()}
    assert found["test_fits"]["metagrad.peak_bytes"] == "1000000"
    assert found["test_fits"]["metagrad.peak_bytes_allowed"] == "1500000"
    assert float(found["test_flat[steps=1,4]"]["metagrad.relative_error"]) == pytest.approx(error)
    assert found["test_flat[steps=1,4]"].keys() >= {"metagrad.peak_bytes.steps=1", "metagrad.peak_bytes.steps=4"}
    assert found["test_unmarked"] == {}
