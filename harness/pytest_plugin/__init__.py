"""The pytest plugin: a ``metagrad`` fixture, and markers that hold a test to its memory and its gradient's error.

It costs a session that does not use it next to nothing: torch is imported by the first test that needs it.
"""

from collections.abc import Generator, Iterator

import pytest

from harness.errors import BadInput
from harness.pytest_plugin.demands import MARKERS, Demands, demands, flat_steps
from harness.pytest_plugin.fixture import Metagrad
from harness.pytest_plugin.record import sentences

__all__ = ["Metagrad"]

_DEMANDS = pytest.StashKey[Demands]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--metagrad-report``."""
    parser.getgroup("imaml-bench").addoption(
        "--metagrad-report",
        action="store_true",
        help="list what the metagrad fixture and the memory and gradient markers measured, passed tests included",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say what the markers mean."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)


@pytest.fixture
def metagrad(request: pytest.FixtureRequest) -> Metagrad:
    """Checks of meta-gradients: ``metagrad.validate(fn, ...)`` and ``metagrad.peak_bytes(call)``."""
    asked = request.node.stash.get(_DEMANDS, None)
    return Metagrad(request.node, asked.gradient if asked else None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with ``flat_memory`` its argument ``steps``: one item, whose body is run at every K in turn."""
    if "steps" in metafunc.fixturenames:
        try:
            steps = flat_steps(metafunc.definition)
        except BadInput:
            return  # said when the test is set up
        if steps:
            metafunc.parametrize("steps", [steps], ids=["steps=" + ",".join(map(str, steps))])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Read the test's markers."""
    try:
        asked, fault = demands(item), None
    except BadInput as error:
        asked, fault = None, str(error)
    except ImportError as error:
        asked, fault = None, f"the test's memory markers need torch, which cannot be imported: {error}"
    if fault is not None:
        pytest.fail(fault, pytrace=False)
    if asked is not None:
        item.stash[_DEMANDS] = asked


def pytest_fixture_setup(fixturedef: "pytest.FixtureDef[object]", request: pytest.FixtureRequest) -> None:
    """Refuse a fixture made from the ``steps`` of ``flat_memory``: it is set up once, the body is run at every K."""
    if "steps" in fixturedef.argnames and request.node.get_closest_marker("flat_memory"):
        pytest.fail(
            f"flat_memory: fixture '{fixturedef.argname}' takes steps, which changes within the test: build it there",
            pytrace=False,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run the body as the markers ask, and hold it to them."""
    asked = item.stash.get(_DEMANDS, None)
    if asked is None:
        return (yield)
    if asked.memory is not None:
        from harness.pytest_plugin.memory import measured

        with measured(item, asked.memory):
            result = yield
    else:
        result = yield
    if asked.gradient is not None and not Metagrad.has_validated(item):
        pytest.fail("gradient_error: the test validated nothing: call metagrad.validate(fn)", pytrace=False)
    return result


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter", config: pytest.Config) -> None:
    """List what was measured, where ``--metagrad-report`` asks for it."""
    if config.getoption("metagrad_report"):
        lines = list(_report(terminalreporter))
        if lines:
            terminalreporter.section("metagrad")
        for line in lines:
            terminalreporter.line(line)


def _report(terminalreporter: "pytest.TerminalReporter") -> Iterator[str]:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                yield from (f"{report.nodeid}: {sentence}" for sentence in sentences(report.user_properties))
