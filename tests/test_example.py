"""The example of a problem of one's own, as if its package were installed."""

import tomllib
from pathlib import Path

import pytest

from harness import worker
from harness.cell import Status
from harness.passes import Found
from harness.registry import PROBLEMS
from harness.suite import load_suite

EXAMPLE = Path(__file__).parents[1] / "examples" / "my_problem"


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module can be imported, and its metadata names the entry points of its pyproject.toml."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "my_problem-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in points.items())])
        for group, points in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.setattr(PROBLEMS, "_targets", {})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLE))


def test_its_own_tests_pass(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", str(EXAMPLE / "test_my_problem.py"))
    result.assert_outcomes(passed=1)


def test_its_suite_names_it_by_the_entry_point() -> None:
    cells = load_suite(EXAMPLE / "suite.toml").cells("cpu", threads=1)
    assert {cell.problem.name for cell in cells} == {"robust"} == set(PROBLEMS.names())
    worker.check(cells)


def test_its_cells_can_be_measured() -> None:
    cells = load_suite(EXAMPLE / "suite.toml").cells("cpu", threads=1)
    for estimator in ("maml", "imaml-cg"):
        cell = next(each for each in cells if each.estimator.name == estimator)
        found: list[Found] = []
        outcome = worker.measure(cell.model_copy(update={"min_seconds": 0.0, "max_seconds": 0.0}), found.append)
        assert (outcome.status, outcome.reason) == (Status.OK, None)
        assert any("backprop_relative_error" in each.metrics for each in found)
