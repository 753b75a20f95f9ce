"""Parts of another installed distribution."""

import sys
from pathlib import Path

import pytest

import harness
from harness import conformance
from harness.registry import ESTIMATORS, IMAGE_SOURCES, INNER_SOLVERS, PROBLEMS

MODULE = """
from dataclasses import dataclass

import torch

from harness.bilevel import Task
from harness.estimators.first_order import Fomaml
from harness.inner import GradientDescent


@dataclass(frozen=True)
class Bowl:
    depth: float = 1.0
    dtype: str = "float64"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self):
        self.tensor(0.0)

    def tensor(self, value):
        return torch.as_tensor(value, dtype=getattr(torch, self.dtype), device=self.device)

    def theta(self):
        return {"w": self.tensor([1.0, 2.0]) + self.seed}

    def inner_loss(self, params, support):
        return self.depth * (params["w"] - support).square().sum()

    def outer_loss(self, params, query):
        return (params["w"] - query).square().square().sum()

    def tasks(self, n, seed):
        return [Task(self.tensor([float(seed), i]), self.tensor([i, 1.0])) for i in range(n)]


class Mine(Fomaml):
    pass


class Slow(GradientDescent):
    pass
"""

ENTRY_POINTS = """
[imaml_bench.problems]
bowl = a_plugin_of_the_tests:Bowl
[imaml_bench.estimators]
mine = a_plugin_of_the_tests:Mine
broken = a_plugin_of_the_tests:Nothing
[imaml_bench.inner_solvers]
slow = a_plugin_of_the_tests:Slow
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_plugin_of_the_tests.py").write_text(MODULE)
    info = tmp_path / "a_plugin_of_the_tests-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-plugin-of-the-tests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "a_plugin_of_the_tests", raising=False)
    for registry in (PROBLEMS, ESTIMATORS, INNER_SOLVERS, IMAGE_SOURCES):
        monkeypatch.setattr(registry, "_targets", dict(vars(registry)["_targets"]))


def test_its_parts_are_listed_and_nothing_of_it_is_imported() -> None:
    assert PROBLEMS.names()[-1] == "bowl"
    assert {"mine", "maml"} <= set(ESTIMATORS.names())
    assert "slow" in INNER_SOLVERS.names()
    assert "a_plugin_of_the_tests" not in sys.modules


def test_its_parts_are_made_by_name_and_keep_their_contracts() -> None:
    problem = harness.problem("bowl", depth=2.0)
    assert type(problem).__module__ == "a_plugin_of_the_tests"
    assert conformance.check_problem(problem) == []
    estimator = harness.estimator("mine", steps=3, inner="slow")
    assert conformance.check_estimator(estimator, problem) == []
    with pytest.raises(harness.BadInput, match="problem 'bowl': unknown parameter 'dept': did you mean 'depth'"):
        harness.problem("bowl", dept=2.0)


def test_its_parts_are_validated_by_name() -> None:
    report = harness.validate("imaml-dense", "bowl", inner="slow", steps=60, lr=0.1, lam=3.0, depth=2.0)
    assert report.passed, report
    assert report.problem == "bowl(depth=2.0)"
    report = harness.validate("mine", "bowl", inner="slow", steps=60, lr=0.1, lam=3.0)
    assert report.cause is not None
    assert report.cause.kind == "first-order"
