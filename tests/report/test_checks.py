from typing import Any

import pytest

from harness.cell import Measurement, Status
from harness.expectations import Outcome, Verdict
from harness.report.checks import State, checks
from harness.report.settings import settings
from harness.store import LoadedRun
from tests.report.synthetic import measurement, run


def found(cells: list[Measurement], what: str, remarks: tuple[str, ...] = (), **manifest: Any) -> tuple[State, str]:
    runs = [run(cells, **manifest)]
    (check,) = (each for each in checks(runs, settings(runs), [], remarks) if each.what == what)
    return check.state, check.found


def of(metrics: dict[str, list[float]], **about: Any) -> list[Measurement]:
    return [measurement(metrics=metrics, **about)]


def test_cells_that_failed_or_are_missing() -> None:
    lost = measurement("MAML", 2, status=Status.OOM, reason="no memory left")
    assert found([measurement()], "Cells") == (State.GOOD, "All 1 ended well.")
    assert found([measurement(), lost], "Cells") == (State.CAUTION, "1 of 2 ended well; 1 oom.")
    missing = found([measurement()], "Cells", planned=["a", measurement().key])
    assert missing == (State.BAD, "1 of 2 planned have no measurement.")


def test_times_are_as_good_as_the_findings_on_them() -> None:
    timed = of({"wall_seconds": [1.0, 1.0]})
    assert found(timed, "Wall times")[0] is State.GOOD
    state, said = found(timed, "Wall times", ("Wall time is drifting for MAML at K = 1 (look for a clock).",))
    assert (state, said) == (State.CAUTION, "Some are drifting: see the findings for which, and what to do.")


def test_times_taken_while_others_had_the_core_are_a_caution() -> None:
    quiet = measurement(metrics={"wall_seconds": [1.0], "foreign_share": [0.1], "steal_share": [0.0]})
    met = measurement(steps=2, metrics={"wall_seconds": [1.0], "foreign_share": [0.5], "steal_share": [0.25]})
    worse = measurement(steps=4, metrics={"wall_seconds": [1.0, 1.0], "foreign_share": [0.0, 0.8]})
    lost = measurement(steps=8, status=Status.OOM, metrics={"wall_seconds": [1.0], "foreign_share": [0.9]})
    assert found([quiet], "Wall times")[0] is State.GOOD
    said = "2 of 3 cells were timed while other processes took their processor (up to 80 % of the machine's CPU time)."
    assert found([quiet, met, worse, lost], "Wall times") == (State.CAUTION, said)
    drifting = found([quiet, met, worse], "Wall times", ("Wall time is drifting for MAML at K = 1 (why).",))
    assert drifting == (State.CAUTION, f"{said} Some are drifting: see the findings for which, and what to do.")


def test_leaks_are_told() -> None:
    assert found(of({"retained_bytes": [0.0, 0.0]}), "Memory from call to call")[0] is State.GOOD
    state, said = found(of({"retained_bytes": [0.0, 8e6]}), "Memory from call to call")
    assert state is State.CAUTION
    assert "MAML 8 MB a call" in said


@pytest.mark.parametrize(("error", "state"), [(1e-16, State.GOOD), (1e-3, State.BAD)])
def test_maml_has_to_be_exact_backprop(error: float, state: State) -> None:
    assert found(of({"backprop_relative_error": [error]}), "MAML against exact backprop")[0] is state
    replay = of({"backprop_relative_error": [0.0]}, estimator="maml-replay")
    assert found(replay, "MAML against exact backprop")[0] is State.UNKNOWN  # it is the reference
    implicit = of({"backprop_relative_error": [0.5]}, estimator="imaml-cg")
    assert found(implicit, "MAML against exact backprop")[0] is State.UNKNOWN


def tried(peaks: dict[int, float], *failed: int) -> list[Measurement]:
    """MAML by K, forecast to need so much of 8 GB."""
    return [
        measurement(
            "MAML",
            k,
            measure=("memory",),
            status=Status.OOM if k in failed else Status.OK,
            metrics={"forecast_peak_bytes": [peak]} | ({} if k in failed else {"peak_bytes": [peak]}),
        )
        for k, peak in peaks.items()
    ]


@pytest.mark.parametrize(
    ("peaks", "failed", "state", "said"),
    [
        ({1: 3e9, 2: 6e9}, (), State.UNKNOWN, ""),
        ({1: 3e9, 2: 6e9, 4: 12e9}, (4,), State.GOOD, "MAML ran out at K = 4; the forecast named K = 4."),
        ({1: 3e9, 2: 7.9e9, 4: 12e9}, (2, 4), State.GOOD, "MAML ran out at K = 2; the forecast named K = 4."),
        ({1: 3e9, 2: 6e9, 4: 9e9}, (1, 2, 4), State.BAD, "MAML ran out at K = 1; the forecast named K = 4."),
        ({1: 3e9, 2: 6e9}, (2,), State.BAD, "MAML ran out at K = 2; the forecast named none."),
    ],
)
def test_memory_runs_out_where_the_forecast_said(
    peaks: dict[int, float], failed: tuple[int, ...], state: State, said: str
) -> None:
    assert found(tried(peaks, *failed), "Out of memory where forecast") == (state, said)


@pytest.mark.parametrize(
    ("metrics", "state"),
    [
        ({"negative_curvature": [0.0], "smallest_curvature": [0.5]}, State.GOOD),
        ({"negative_curvature": [1.0]}, State.CAUTION),
        ({"smallest_curvature": [0.5, -0.5]}, State.CAUTION),
        ({}, State.UNKNOWN),
    ],
)
def test_the_premise_of_the_implicit_method(metrics: dict[str, list[float]], state: State) -> None:
    assert found(of(metrics), "Premise of the implicit method")[0] is state


def implicit(problem: str, *steps: int, measure: tuple[str, ...] = ("time",), **curvature: list[float]) -> list[Any]:
    """Cells of MAML and an implicit method, the latter with curvatures."""
    of: dict[str, Any] = {"problem": {"name": problem}, "measure": measure}
    return [
        cell
        for k in steps
        for cell in (
            measurement("MAML", k, **of),
            measurement("iMAML", k, estimator="imaml-cg", metrics=curvature, **of),
        )
    ]


def premise(*runs: LoadedRun) -> tuple[State, str]:
    held = settings(runs)
    (check,) = (each for each in checks(runs, held, [], ()) if each.what == "Premise of the implicit method")
    return check.state, check.found


def test_the_premise_is_judged_setting_by_setting() -> None:
    known = run(implicit("mlp", 1, 2, 3, smallest_curvature=[0.5]), path="runs/fig2a")
    unknown = run(implicit("conv4", 1, 2), path="runs/fig2b")
    assert premise(known) == (State.GOOD, "No sign of negative curvature in 3 cells.")
    assert premise(known, unknown) == (
        State.CAUTION,
        "No sign of negative curvature in 3 cells. Not checked in run fig2b (no accuracy pass): 2 cells.",
    )
    assert premise(unknown) == (State.CAUTION, "Not checked in conv4 (no accuracy pass): 2 cells.")
    both = run([*known.processes, *unknown.processes])
    assert premise(both)[1].endswith("Not checked in conv4 (no accuracy pass): 2 cells.")


def test_a_premise_in_doubt_and_one_not_checked_are_both_told() -> None:
    doubtful = implicit("mlp", 1, smallest_curvature=[-0.5])
    assert premise(run([*doubtful, *implicit("conv4", 1)])) == (
        State.CAUTION,
        "H + λI may be indefinite in 1 of 1 cells. Not checked in conv4 (no accuracy pass): 1 cell.",
    )


def test_a_pass_without_a_curvature_is_not_called_missing() -> None:
    cells = implicit("conv4", 1, measure=("accuracy",))
    assert premise(run(cells)) == (State.CAUTION, "Not checked in conv4 (no number of the curvature): 1 cell.")


def test_where_the_spectrum_is_known_or_no_method_is_implicit_the_premise_is_no_matter() -> None:
    maml = measurement(problem={"name": "conv4"})
    lost = measurement("iMAML", 2, estimator="imaml-cg", problem={"name": "conv4"}, status=Status.OOM, reason="none")
    assert premise(run([*implicit("linear", 1), maml, lost])) == (State.UNKNOWN, "")


@pytest.mark.parametrize(
    ("forecast", "state", "said"),
    [
        (1e6, State.GOOD, "Exact to the byte in 1 cells."),
        (1.05e6, State.GOOD, "Off by 5.0 % at worst, in 1 cells."),
        (2e6, State.BAD, "Off by 100 % at worst, in 1 cells."),
    ],
)
def test_the_forecast_has_to_be_near(forecast: float, state: State, said: str) -> None:
    held = of({"forecast_peak_bytes": [forecast], "peak_bytes": [1e6]})
    assert found(held, "Memory forecast") == (state, said)


def test_uncommitted_changes_are_a_caution() -> None:
    assert found([measurement()], "Source code")[0] is State.UNKNOWN
    assert found([measurement()], "Source code", git_revision="a", git_dirty=False)[0] is State.GOOD
    assert found([measurement()], "Source code", git_revision="a", git_dirty=True)[0] is State.CAUTION


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([Outcome.PASS], State.GOOD),
        ([Outcome.PASS, Outcome.UNTESTED], State.CAUTION),
        ([Outcome.UNTESTED, Outcome.FAIL], State.BAD),
        ([], State.UNKNOWN),
    ],
)
def test_claims_are_as_good_as_the_worst(outcomes: list[Outcome], state: State) -> None:
    claims = [Verdict(claim="c", bound="b", outcome=outcome, measured="m") for outcome in outcomes]
    runs = [run([measurement()])]
    assert checks(runs, settings(runs), claims, [])[0].state is state


def test_what_was_not_measured_is_neither_good_nor_bad() -> None:
    runs = [run([measurement()])]
    unknown = [each for each in checks(runs, settings(runs), [], []) if each.state is State.UNKNOWN]
    assert len(unknown) == 10
    assert not any(each.found for each in unknown)
