"""Who may import whom."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "harness"

FLOORS = [
    {
        "attention",
        "bilevel",
        "cgroups",
        "checks",
        "errors",
        "files",
        "git",
        "losses",
        "objective",
        "out_of_memory",
        "phases",
        "pytree",
        "registry",
        "text",
        "statistics",
        "units",
    },
    {"data", "inner", "linear_solvers"},
    {"problems", "estimators"},
    {"meters", "parts"},
    {
        "cell",
        "expectation",
        "manifest",
        "suite_files",
        "suite_expect",
        "suite_schema",
        "suite_values",
        "suite",
        "lock",
        "store",
        "repeats",
        "limits",
        "lines",
        "references",
        "timelines",
        "versions",
        "disturbance",
    },
    {"worker", "conduct", "passes", "forecast", "machine", "executors"},
    {
        "scaling",
        "frame",
        "compare",
        "history",
        "report",
        "exports",
        "measure",
        "frontier",
        "validation",
        "conformance",
        "benchmarks",
        "doctor",
        "expectations",
        "ci",
    },
    {"cli", "pytest_plugin"},
]
"""From the ground up: a room imports only its own floor and those below."""


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    rooms = {name.split(".")[1] for name in names if name.startswith("harness.")}
    return rooms & set().union(*FLOORS)


def sources() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.name.startswith("__")]


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in sources()} == set().union(*FLOORS)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_lies_below(path: Path) -> None:
    own = next(floor for floor, rooms in enumerate(FLOORS) if room(path) in rooms)
    above = set().union(*FLOORS[own + 1 :])
    assert imported_rooms(path) & above == set()


def test_estimators_do_not_know_that_they_are_measured() -> None:
    for path in (PACKAGE / "estimators").rglob("*.py"):
        assert "meters" not in imported_rooms(path)


@pytest.mark.parametrize(
    "module",
    [
        "harness",
        "harness.ci.github",
        "harness.ci.junit",
        "harness.ci.summary",
        "harness.cli",
        "harness.cli.progress",
        "harness.expectations",
        "harness.report",
        "harness.compare",
        "harness.history",
        "harness.frame",
        "harness.pytest_plugin",
        "harness.scaling",
        "harness.timelines",
    ],
)
def test_needs_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_resolve() -> None:
    import harness

    assert {name for name in harness.__all__ if getattr(harness, name) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = harness.nothing


def test_public_names_are_listed_without_importing_what_they_stand_for() -> None:
    code = "import sys, harness; print(*dir(harness), harness.__version__); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    import harness

    assert done.stdout.split() == [*sorted(harness.__all__), version("imaml-bench")]
