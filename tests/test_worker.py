"""One cell measured in this process, against what is known of it."""

import math
import re
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from harness.cell import METRICS, Cell, Part, Status
from harness.errors import BadInput
from harness.estimators.implicit import ImamlCg
from harness.estimators.unrolled import Maml
from harness.linear_solvers import ConjugateGradient, LinearSolution
from harness.passes import PHASE_REPEATS, Found, Metrics
from harness.registry import ESTIMATORS
from harness.worker import Outcome, check, measure, resolved


def cell(estimator: str = "maml", problem: str = "linear", steps: int = 4, **changes: Any) -> Cell:
    own: dict[str, Any] = {"cg_steps": 3} if estimator == "imaml-cg" else {}
    size: dict[str, Any] = {"dim": 6, "n": 12} if problem == "linear" else {"ways": 3, "shots": 1, "queries": 1}
    fields: dict[str, Any] = {
        "problem": Part(name=problem, parameters=size),
        "estimator": Part(name=estimator, parameters={"lr": 0.5, "lam": 0.5, **own}),
        "label": estimator,
        "steps": steps,
        "dtype": "float64",
        "measure": ("memory", "counters", "time", "phases", "accuracy"),
        "references": ("backprop", "implicit") if problem == "linear" else ("backprop",),
        "min_seconds": 0,
        "max_seconds": 0,
    }
    return Cell(**fields | changes)


def measured(a_cell: Cell) -> tuple[Outcome, Metrics]:
    metrics: Metrics = {}

    def collect(found: Found) -> None:
        for name, samples in found.metrics.items():
            metrics.setdefault(name, []).extend(samples)

    return measure(a_cell, collect), metrics


def test_every_metric_is_described_and_sampled_as_often_as_it_should() -> None:
    outcome, metrics = measured(cell("imaml-cg", draws=3, min_samples=4))
    assert outcome == Outcome(Status.OK)
    assert metrics.keys() <= METRICS.keys()
    assert len(metrics["wall_seconds"]) == 4
    assert {len(metrics[name]) for name in metrics if name.startswith(("backprop_", "implicit_", "inner_"))} == {3}
    assert len(set(metrics["implicit_relative_error"])) == 3
    assert len(metrics["step_seconds"]) == 4 * PHASE_REPEATS
    assert metrics["retained_bytes"] == [0, 0]
    assert {len(metrics[name]) for name in ("peak_bytes", "rss_peak_bytes", "flops", "query_loss")} == {1}


def test_counts_and_errors_are_those_of_the_estimator() -> None:
    _, maml = measured(cell("maml"))
    assert (maml["gradient_count"], maml["hvp_count"], maml["step_size_hvp_count"]) == ([5], [4], [0])
    assert maml["backprop_relative_error"][0] < 1e-14
    assert maml["implicit_relative_error"][0] > 1e-3
    _, implicit = measured(cell("imaml-cg", steps=200))
    assert implicit["inner_residual"][0] < 1e-12
    assert implicit["implicit_relative_error"][0] == pytest.approx(implicit["backprop_relative_error"][0], rel=1e-6)


@pytest.mark.parametrize(
    ("passes", "names"),
    [
        (("memory",), {"peak_bytes", "retained_bytes", "rss_peak_bytes"}),
        (("counters",), {"flops", "gradient_count", "hvp_count", "step_size_hvp_count"}),
        (("time",), {"wall_seconds", "load_average", "steal_share", "foreign_share"}),
        (("phases",), {"inner_seconds", "query_seconds", "backward_seconds", "step_seconds"}),
    ],
)
def test_only_the_passes_asked_for_are_made(passes: tuple[str, ...], names: set[str]) -> None:
    _, metrics = measured(cell(measure=passes))
    assert metrics.keys() == names | {"query_loss"}


def test_deterministic_metrics_are_equal_in_every_run() -> None:
    runs = [measured(cell("imaml-cg", problem="conv4", dtype="float32", steps=2))[1] for _ in range(3)]
    for name, metric in METRICS.items():
        if metric.deterministic and name in runs[0]:
            assert runs[0][name] == runs[1][name] == runs[2][name], name


def test_a_reference_that_does_not_exist_is_a_note_and_the_other_is_measured() -> None:
    relu = Part(name="sinusoid", parameters={"hidden": [4], "activation": "relu"})
    kinked = cell(problem="sinusoid", references=("backprop", "implicit"), measure=("accuracy",), steps=2)
    found: list[Found] = []
    outcome = measure(kinked.model_copy(update={"problem": relu}), found.append)
    assert outcome == Outcome(Status.OK)
    [_, accuracy] = found
    assert "backprop_relative_error" in accuracy.metrics
    assert "implicit_relative_error" not in accuracy.metrics
    assert accuracy.notes["implicit_relative_error"].startswith("reference 'implicit': the inner")
    assert accuracy.notes["implicit_relative_error"].endswith("(seed 0)")


def test_rounding_is_a_number_of_its_own() -> None:
    _, single = measured(cell(dtype="float32", measure=("accuracy",)))
    _, double = measured(cell(dtype="float64", measure=("accuracy",)))
    assert 1e-9 < single["rounding_relative_error"][0] < 1e-5
    assert "rounding_relative_error" not in double
    assert single["backprop_relative_error"] == double["backprop_relative_error"]


@pytest.mark.parametrize(("most", "share"), [(8, 1 / 3), pytest.param(16, 1 / 5, marks=pytest.mark.thorough)])
def test_the_papers_bars_on_the_papers_network(most: int, share: float) -> None:
    """iMAML's memory is flat in K, MAML's a line, and replay a fifth of it at K = 16."""

    def peak(estimator: str, steps: int, ways: int = 20) -> float:
        a_cell = cell(estimator, "conv4", steps, dtype="float32", measure=("memory",))
        a_cell = a_cell.model_copy(update={"problem": Part(name="conv4", parameters={"ways": ways})})
        [value] = measured(a_cell)[1]["peak_bytes"]
        return value

    assert peak("imaml-cg", most, ways=5) == pytest.approx(peak("imaml-cg", 4, ways=5), rel=0.01)
    assert peak("fomaml", 4, ways=5) == peak("fomaml", 1, ways=5)
    steps = (1, 2, most)
    maml = [peak("maml", k) for k in steps]
    slopes = [(maml[i + 1] - maml[i]) / (steps[i + 1] - steps[i]) for i in range(2)]
    assert max(slopes) == pytest.approx(min(slopes), rel=0.02)
    assert peak("maml-replay", most) < share * maml[-1]


def test_failures_are_outcomes() -> None:
    outcome, metrics = measured(
        cell(steps=400).model_copy(update={"estimator": Part(name="maml", parameters={"lr": 1e9})})
    )
    assert outcome == Outcome(Status.DIVERGED, "the meta-gradient is not finite at K = 400")
    assert metrics == {}


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", Status.OOM),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", Status.OOM),
        ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", Status.OOM),
        (
            'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "CUDACachingAllocator.cpp":1407, please report',
            Status.OOM,
        ),
        ("CUDA error: an illegal memory access was encountered", Status.CRASH),
    ],
)
def test_libraries_that_want_memory_ran_out_of_it(
    message: str, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(Maml, "meta_gradients", fail)
    outcome, _ = measured(cell())
    assert outcome == Outcome(status, f"RuntimeError: {message.splitlines()[0]}")


@pytest.mark.parametrize(("refusals", "status"), [({"num_ooms": 1}, Status.OOM), ({}, Status.CRASH)])
def test_cudnn_without_an_algorithm_ran_out_of_memory_where_the_allocator_did(
    refusals: dict[str, int], status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("GET was unable to find an engine to execute this computation")

    monkeypatch.setattr(Maml, "meta_gradients", fail)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: refusals if device == 1 else {"num_ooms": 0})
    assert measured(cell())[0].status is status


def test_implicit_methods_tell_the_smallest_eigenvalue_of_their_inner_problem() -> None:
    _, implicit = measured(cell("imaml-cg", measure=("accuracy",), draws=2))
    assert implicit["smallest_curvature"] == pytest.approx([0.5 + 1 / 100] * 2)
    assert "smallest_curvature" not in measured(cell("maml", measure=("accuracy",)))[1]


def test_of_a_direction_only_the_cosine_is_told() -> None:
    _, metrics = measured(cell("reptile", measure=("accuracy",), dtype="float32"))
    assert {name for name in metrics if name.startswith(("backprop", "implicit", "rounding"))} == {
        "backprop_cosine",
        "implicit_cosine",
    }


def test_threads_are_those_of_the_cell() -> None:
    measured(cell(threads=2, measure=("counters",)))
    assert torch.get_num_threads() == 2
    measured(cell(threads=1, measure=("counters",)))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"estimator": Part(name="imaml-cg", parameters={"lam": 0})}, "estimator 'imaml-cg': lam: 0 is not above 0"),
        ({"estimator": Part(name="maml", parameters={"steeps": 1})}, "estimator 'maml': unknown parameter 'steeps'"),
        ({"problem": Part(name="linear", parameters={"kappa": 0})}, "problem 'linear': kappa: 0"),
        ({"problem": Part(name="linear", parameters={"dtype": "float32"})}, "problem 'linear': dtype: is the cell"),
        ({"problem": Part(name="conv4", parameters={"ways": 10**6})}, "ways"),
        ({"estimator": Part(name="maml", parameters={"lr": 0.5})}, "reference 'implicit': lam = 0"),
    ],
)
def test_cells_that_cannot_be_are_found_before_anything_runs(bad: dict[str, Part], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check([cell(), cell().model_copy(update=bad)])


def test_cells_that_can_be_pass() -> None:
    assert check([cell(), cell("imaml-cg"), cell("maml-replay", problem="conv4")]) is None


def part_of(found: Cell) -> dict[str, Any]:
    return found.estimator.parameters


def test_cells_are_completed_with_the_defaults_of_their_parts() -> None:
    found = resolved([cell().model_copy(update={"estimator": Part(name="imaml-cg", parameters={"lr": 1})})])[0]
    assert found.problem.parameters == {"dim": 6, "n": 12, "kappa": 100.0, "noise": 0.1}
    whole = {"lr": 1.0, "lam": 1.0, "inner": "gd", "tol": 0.0, "batching": "loop", "cg_steps": 5, "cg_tol": 0.0}
    assert repr(found.estimator.parameters) == repr(whole)
    assert (found.estimator.words, found.problem.words) == ("imaml-cg (lr=1)", "linear (dim=6, n=12)")
    assert resolved([found]) == [found]
    assert resolved([found])[0].estimator.words == found.estimator.words


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"cg_steps": 5, "lam": 1}, True),
        ({"lr": 1}, {"lr": 1.0}, True),
        ({"inner": "gd"}, {"inner": " gd ( ) "}, True),
        ({"inner": "nesterov"}, {"inner": "nesterov(momentum='auto')"}, True),
        ({"inner": "nesterov(momentum=0)"}, {"inner": "nesterov(momentum = 0.0)"}, True),
        ({"inner": "nesterov"}, {"inner": "nesterov(momentum=0.9)"}, False),
        ({"inner": "adam(beta1=0.8, beta2=0.9)"}, {"inner": "adam(beta2=0.9, beta1=0.8)"}, True),
        ({"cg_steps": 4}, {"cg_steps": 5}, False),
    ],
)
def test_what_is_one_computation_has_one_key(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    cells = [
        cell(references=["backprop"]).model_copy(update={"estimator": Part(name="imaml-cg", parameters=given)})
        for given in (one, other)
    ]
    keys = {each.key for each in resolved(cells)}
    assert len(keys) == (1 if same else 2)


def test_a_changed_default_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Changed(ImamlCg):
        cg_steps: int = 6

    asked = cell().model_copy(update={"estimator": Part(name="imaml-cg", parameters={"lam": 1.0})})
    [before] = resolved([asked])
    monkeypatch.setitem(ESTIMATORS._targets, "imaml-cg", Changed)  # pyright: ignore[reportPrivateUsage]
    [after] = resolved([asked])
    assert (part_of(before)["cg_steps"], part_of(after)["cg_steps"]) == (5, 6)
    assert before.key != after.key


def implicit(estimator: str, passes: tuple[str, ...] = ("accuracy",), **parameters: Any) -> Outcome:
    part = Part(name=estimator, parameters={"lr": 0.5, "lam": 0.01, **parameters})
    return measured(cell(measure=passes).model_copy(update={"estimator": part}))[0]


@pytest.mark.parametrize("passes", [("accuracy",), ("memory",)])
@pytest.mark.parametrize(
    ("estimator", "parameters", "remedy"),
    [
        ("imaml-neumann", {"eta": 5.0, "terms": 3}, "eta = 'auto', or a larger lam"),
        ("imaml-neumann", {"eta": 0.1, "terms": 10}, "eta = 'auto', or a larger lam"),
        ("imaml-nystrom", {"rank": 1}, "a larger rank, or a larger lam"),
    ],
)
def test_a_linear_solve_that_diverged_is_told_with_its_residual_and_the_remedy(
    passes: tuple[str, ...], estimator: str, parameters: dict[str, Any], remedy: str
) -> None:
    outcome = implicit(estimator, passes, **parameters)
    assert outcome.status is Status.DIVERGED
    said = re.fullmatch(
        r"the linear solve diverged at K = 4: .* = (\S+), where x = 0 has 1; take (.*)", outcome.reason or ""
    )
    assert said is not None
    assert float(said[1]) > 1
    assert said[2].startswith(remedy)


@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [
        ("imaml-neumann", {"eta": 0.0198, "terms": 30}),
        ("imaml-neumann", {}),
        ("imaml-cg", {"cg_steps": 1}),
        ("imaml-minres", {}),
        ("imaml-nystrom", {"rank": 6}),
        ("imaml-dense", {}),
    ],
)
def test_a_linear_solve_that_fell_short_did_not_diverge(estimator: str, parameters: dict[str, Any]) -> None:
    assert implicit(estimator, **parameters) == Outcome(Status.OK)


def test_cg_whose_residual_rises_on_its_way_did_not_diverge(monkeypatch: pytest.MonkeyPatch) -> None:
    def rising(factor: float) -> LinearSolution:
        one, no = torch.ones(6, dtype=torch.float64), torch.tensor(False)
        return LinearSolution(one, torch.tensor([1.0, factor], dtype=torch.float64), ~no, no, no)

    for residual, status in ((121.9, Status.OK), (1e7, Status.OK), (1e8, Status.DIVERGED), (math.nan, Status.DIVERGED)):
        monkeypatch.setattr(ConjugateGradient, "solve", lambda *_, of=residual: rising(of))
        assert implicit("imaml-cg").status is status, residual
