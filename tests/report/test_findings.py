from collections.abc import Callable

from harness.cell import Measurement, Status
from harness.report.findings import accuracy, failures, findings, growth, rounding
from harness.report.laws import laws_frame, laws_table
from harness.report.settings import Setting, settings
from harness.report.validity import negative_curvature
from tests.report.synthetic import curve, measurement, memory, run

STEPS = (1, 2, 4, 8, 16, 32, 64)


def setting_of(*cells: Measurement) -> Setting:
    (found,) = settings([run(cells)])
    return found


def error(median: float, metric: str = "implicit_relative_error") -> Callable[[int], dict[str, list[float]]]:
    return lambda k: {metric: [median * share for share in (0.8, 0.9, 1.0, 1.1, 1.2)]}


def test_memory_that_grows_and_memory_that_is_flat() -> None:
    setting = setting_of(
        *curve("MAML", "maml", STEPS, memory(26.4e6, 58e6)),
        *curve("CG 2", "imaml-cg", STEPS, memory(0, 77.0e6), parameters={"cg_steps": 2}),
        *curve("CG 5", "imaml-cg", STEPS, memory(0, 77.2e6), parameters={"cg_steps": 5}),
        *curve("FOMAML", "fomaml", STEPS, memory(0, 27.6e6)),
    )
    assert growth(setting, "peak_bytes") == (
        "Peak memory from K = 1 to 64: MAML grows by 26.4 MB a step; CG 2 and CG 5 are flat (77 MB to 77.2 MB); "
        "FOMAML is flat at 27.6 MB. At K = 64, MAML needs the most, 1.75 GB: 63 times the least (FOMAML, 27.6 MB)."
    )


def test_a_curve_that_ends_early_says_where() -> None:
    setting = setting_of(
        *curve("MAML", "maml", STEPS[:4], memory(26.4e6, 58e6)),
        measurement("MAML", 16, status=Status.OOM),
        *curve("CG", "imaml-cg", STEPS, memory(0, 77e6)),
    )
    assert growth(setting, "peak_bytes") == (
        "Peak memory from K = 1 to 64: MAML grows by 26.4 MB a step (K = 1 to 8); CG is flat at 77 MB. "
        "At K = 8, MAML needs the most, 269 MB: 3.5 times the least (CG, 77 MB)."
    )
    assert failures(setting) == "MAML ran out of memory at K = 16."


def test_times_are_said_loosely() -> None:
    setting = setting_of(*curve("MAML", "maml", STEPS, lambda k: {"wall_seconds": [0.012 + 0.0534 * k]}))
    assert growth(setting, "wall_seconds") == "Wall time from K = 1 to 64: MAML takes about 53 ms more a step."


def test_growth_that_follows_no_law_is_only_described() -> None:
    setting = setting_of(*curve("MAML", "maml", STEPS, lambda k: {"peak_bytes": [1e6 * 2 ** (k / 8)]}))
    assert growth(setting, "peak_bytes") == (
        "Peak memory from K = 1 to 64: MAML goes from 1.09 MB at K = 1 to 256 MB at K = 64."
    )


def test_growth_that_bends_is_said_with_its_exponent() -> None:
    setting = setting_of(
        *curve("MAML", "maml", STEPS, memory(26.4e6, 58e6)),
        *curve("A", "a", STEPS[:5], lambda k: {"peak_bytes": [1e6 * (5 + k * k)]}),
        *curve("B", "b", STEPS, lambda k: {"peak_bytes": [1e6 * k**0.5]}),
    )
    sentence = growth(setting, "peak_bytes")
    assert sentence is not None
    assert sentence.startswith(
        "Peak memory from K = 1 to 64: MAML grows by 26.4 MB a step; "
        "A grows faster than linearly, as K^2.00 (K = 1 to 16); B grows slower than linearly, as K^0.50. "
    )


def test_equal_needs_are_not_ranked() -> None:
    setting = setting_of(*curve("A", "maml", STEPS, memory(0, 77e6)), *curve("B", "fomaml", STEPS, memory(0, 77.4e6)))
    assert growth(setting, "peak_bytes") == "Peak memory from K = 1 to 64: A and B are flat (77 MB to 77.4 MB)."


def test_growth_over_tasks_is_told_of_tasks() -> None:
    def side(label: str, tasks: int, peak: float) -> Measurement:
        study = {"title": "Batches", "x": "tasks", "label": label}
        return measurement(
            label, 4, tasks=tasks, parameters={"batching": label}, metrics={"peak_bytes": [peak]}, studies=[study]
        )

    cells = [side("vmap", n, 1e6 + n * 26e6) for n in (1, 2, 4, 8)] + [side("loop", n, 27e6) for n in (1, 2, 4)]
    (setting,) = settings([run(cells)])
    assert growth(setting, "peak_bytes") == (
        "Peak memory from 1 to 8 tasks: vmap grows by 26 MB a task; loop is flat at 27 MB (1 to 4 tasks). "
        "At 4 tasks, vmap needs the most, 105 MB: 3.9 times the least (loop, 27 MB)."
    )
    (rough,) = settings([run([side("loop", n, peak) for n, peak in ((1, 158e6), (2, 161e6), (4, 161e6))])])
    assert (
        growth(rough, "peak_bytes")
        == "Peak memory from 1 to 4 tasks: loop goes from 158 MB at 1 task to 161 MB at 4 tasks."
    )
    assert laws_table(setting) is None
    assert laws_frame([setting]).empty


def test_a_single_k_is_no_growth() -> None:
    setting = setting_of(*curve("MAML", "maml", (4,), memory(26.4e6, 58e6)))
    assert growth(setting, "peak_bytes") is None
    assert growth(setting, "wall_seconds") is None
    assert findings(setting) == []


def test_errors_are_ranked_at_the_largest_k() -> None:
    setting = setting_of(
        *curve("MAML", "maml", (1, 100), lambda k: error(3.0e-5 if k == 100 else 1e-9)(k)),
        *curve("CG 20", "imaml-cg", (1, 100), error(1.5e-5), parameters={"cg_steps": 20}),
        *curve("CG 5", "imaml-cg", (1, 100), error(0.066), parameters={"cg_steps": 5}),
        *curve("near", "near", (1, 100), error(2.9e-5)),
    )
    assert accuracy(setting, "implicit_relative_error") == (
        "Relative error against the exact implicit gradient at K = 100 (median of 5 seeds): "
        "CG 20 1.5e-5, near 2.9e-5, MAML 3.0e-5 and CG 5 0.066. "
        "Clearly nearer than MAML: CG 20. Clearly farther off than MAML: CG 5."
    )
    assert accuracy(setting, "backprop_relative_error") is None


def test_no_one_is_set_against_maml_where_it_was_not_measured() -> None:
    setting = setting_of(*curve("CG", "imaml-cg", (1, 100), error(1.5e-5)))
    assert accuracy(setting, "implicit_relative_error") == (
        "Relative error against the exact implicit gradient at K = 100 (median of 5 seeds): CG 1.5e-5."
    )


def test_single_seeds_tell_no_one_apart() -> None:
    setting = setting_of(
        *curve("MAML", "maml", (1,), lambda k: {"implicit_relative_error": [0.2]}),
        *curve("CG", "imaml-cg", (1,), lambda k: {"implicit_relative_error": [0.1]}),
    )
    assert accuracy(setting, "implicit_relative_error") == (
        "Relative error against the exact implicit gradient at K = 1: CG 0.10 and MAML 0.20."
    )


def test_zero_against_backprop_is_called_exact() -> None:
    metric = "backprop_relative_error"
    setting = setting_of(
        *curve("MAML", "maml", (1, 8), error(0.0, metric)), *curve("CG", "imaml-cg", (1, 8), error(2.0, metric))
    )
    assert accuracy(setting, metric) == (
        "Relative error against exact backprop through the same K steps at K = 8 (median of 5 seeds): "
        "MAML exact (0) and CG 2."
    )


def test_replay_is_said_to_be_the_reference_itself() -> None:
    metric = "backprop_relative_error"
    replay = curve("Replay", "maml-replay", (1, 8), error(0.0, metric))
    said = "The reference is computed by replay: the error of Replay is rounding alone, by construction."
    assert str(accuracy(setting_of(*replay), metric)).endswith(said)
    assert "by construction" not in str(accuracy(setting_of(*curve("MAML", "maml", (8,), error(0.0, metric))), metric))


def test_rounding_names_the_dtype() -> None:
    setting = setting_of(
        *curve("MAML", "maml", (1, 16), error(6e-5, "rounding_relative_error"), dtype="bfloat16"),
        *curve("CG", "imaml-cg", (1,), error(1.0, "rounding_relative_error"), dtype="bfloat16"),
    )
    assert rounding(setting) == "Rounding alone (bfloat16 against float64, same estimator) at K = 16: MAML 6.0e-5."


def test_rare_negative_curvature_is_reported() -> None:
    def flags(k: int) -> dict[str, list[float]]:
        return {"negative_curvature": [0.0] * 19 + [1.0 if k < 4 else 0.0]}

    sentence = negative_curvature(setting_of(*curve("CG", "imaml-cg", STEPS, flags)))
    assert sentence is not None
    assert sentence.startswith("Negative curvature was met by CG at K = 1 and 2: ")
    assert negative_curvature(setting_of(*curve("CG", "imaml-cg", STEPS[2:], flags))) is None


def test_failures_are_said_by_estimator_and_kind() -> None:
    setting = setting_of(
        *(measurement("A", k, status=Status.OOM) for k in (64, 32, 128)),
        measurement("A", 256, status=Status.SKIPPED),
        measurement("B, b", 2, status=Status.CRASH),
        measurement("C", 2),
    )
    assert failures(setting) == (
        "A ran out of memory at K = 32, 64 and 128; A was skipped at K = 256; “B, b” crashed at K = 2."
    )
    assert failures(setting_of(measurement())) is None


def test_findings_come_in_the_order_of_the_figures() -> None:
    setting = setting_of(
        *curve(
            "CG",
            "imaml-cg",
            STEPS,
            lambda k: {**memory(0, 1e6)(k), **error(0.1)(k), "wall_seconds": [0.1 * k], "negative_curvature": [1.0]},
        ),
        measurement("CG", 128, estimator="imaml-cg", status=Status.DIVERGED),
    )
    assert [sentence.split()[0] for sentence in findings(setting)] == ["Relative", "Peak", "Wall", "Negative", "CG"]


def test_over_a_parameter_errors_are_said_at_its_largest_value() -> None:
    cells = [
        measurement(
            "CG", 9, estimator="imaml-cg", metrics=error(0.1)(9),
            problem={"name": "linear", "parameters": {"kappa": kappa}},
            studies=({"title": "A", "x": "kappa", "label": "CG"},),
        )
        for kappa in (10, 1000)
    ]  # fmt: skip
    assert findings(setting_of(*cells)) == [
        "Relative error against the exact implicit gradient at κ = 1,000 (median of 5 seeds): CG 0.10."
    ]


def test_over_work_no_one_value_is_everyone_s() -> None:
    counted = {"gradient_count": [5.0], "hvp_count": [2.0], "peak_bytes": [1.0]}
    cells = [
        measurement(
            "CG", k, metrics=error(0.1)(k) | counted | {"gradient_count": [float(k)]},
            studies=({"title": "A", "x": "evaluations", "label": "CG"},),
        )
        for k in (1, 8)
    ]  # fmt: skip
    assert findings(setting_of(*cells)) == []


def test_who_needs_the_most_time_is_not_said_of_disturbed_times() -> None:
    def timed(seconds: float, *busy: int) -> Callable[[int], dict[str, list[float]]]:
        return lambda k: {"wall_seconds": [seconds * k]} | ({"foreign_share": [0.8]} if k in busy else {})

    def said(*busy: int) -> str | None:
        cells = [*curve("A", "maml", (1, 2, 4), timed(1.0)), *curve("B", "fomaml", (1, 2, 4), timed(3.0, *busy))]
        (setting,) = settings([run(cells)])
        return growth(setting, "wall_seconds")

    assert "At K = 4, B needs the most, 12 s: 3 times the least (A, 4 s)." in (said() or "")
    assert "At K = 2, B needs the most, 6 s: 3 times the least (A, 2 s)." in (said(4) or "")
    assert "needs the most" not in (said(1, 2, 4) or "")
