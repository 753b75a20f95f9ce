import math
from collections.abc import Mapping
from typing import Any

import pytest

from harness.cell import Measurement, Part
from harness.report.crossover import at, crossover
from harness.report.settings import Setting, settings
from tests.report.synthetic import measurement, run


def cells(
    label: str, estimator: str, errors: Mapping[int, float], x: str = "steps", extra: float = 0, **part: Any
) -> list[Measurement]:
    return [
        measurement(
            label, k, estimator=estimator, parameters={"lam": 0.1} | part,
            studies=({"title": "A", "x": x, "label": label},),
            metrics={"implicit_relative_error": [error], "gradient_count": [k + extra], "hvp_count": [0.0]},
        )
        for k, error in errors.items()
    ]  # fmt: skip


def setting_of(*found: list[Measurement]) -> Setting:
    (setting,) = settings([run([cell for some in found for cell in some])])
    return setting


MAML = {1: 1.0, 2: 0.1, 4: 1e-3, 8: 1e-7}
CG = {1: 0.5, 2: 0.05, 4: 0.05, 8: 0.05}


def test_the_crossover_at_equal_steps_is_said() -> None:
    setting = setting_of(cells("MAML", "maml", MAML), cells("CG 2", "imaml-cg", CG))
    assert crossover(setting) == [
        "At equal K, CG 2: nearer to the exact implicit gradient than MAML from K = 1 to 2; "
        "farther off than MAML from K = 4 to 8."
    ]


def test_at_equal_work_the_unrolled_error_is_interpolated() -> None:
    setting = setting_of(
        cells("MAML", "maml", {1: 1.0, 9: 1e-8}, "evaluations"),
        cells("CG", "imaml-cg", {1: 1e-3, 3: 5e-4, 30: 1e-9}, "evaluations", extra=2),
    )  # MAML at 3 evaluations: 1e-2, at 5: 1e-4; 32 is beyond it
    assert crossover(setting) == [
        "At equal work, CG: nearer to the exact implicit gradient than MAML at 3 gradient evaluations; "
        "farther off than MAML at 5 gradient evaluations."
    ]


def test_those_alike_share_a_sentence_and_equal_ones_have_none() -> None:
    setting = setting_of(
        cells("MAML", "maml", MAML),
        cells("CG 2", "imaml-cg", CG, cg_steps=2),
        cells("CG 3", "imaml-cg", CG, cg_steps=3),
        cells("same", "imaml-cg", {k: e * 1.01 for k, e in MAML.items()}, cg_steps=50),
        cells("FOMAML", "fomaml", CG),
    )
    (sentence,) = crossover(setting)
    assert sentence.startswith("At equal K, CG 2 and CG 3: ")


def test_errors_of_rounding_are_not_compared() -> None:
    setting = setting_of(cells("MAML", "maml", {1: 1e-15, 2: 1e-15}), cells("CG", "imaml-cg", {1: 5e-15, 2: 9e-16}))
    assert crossover(setting) == []


def test_only_the_same_inner_problem_and_solver_are_compared() -> None:
    setting = setting_of(
        cells("MAML, GD", "maml", MAML),
        cells("MAML, N", "maml", {k: e / 1e3 for k, e in MAML.items()}, inner="nesterov"),
        cells("CG", "imaml-cg", {k: e / 10 for k, e in MAML.items()}, inner="nesterov"),
        cells("lone", "imaml-cg", CG, inner="adam"),
    )
    assert crossover(setting) == ["At equal K, CG: farther off than “MAML, N” from K = 1 to 8."]


def test_a_strength_left_out_is_the_estimators_own() -> None:
    unsaid = [each.model_copy(update={"cell": each.cell.model_copy(update={"estimator": Part(name="imaml-cg")})})
              for each in cells("CG", "imaml-cg", CG)]  # fmt: skip
    assert crossover(setting_of(cells("MAML", "maml", MAML, lam=0.0), unsaid)) == []
    assert len(crossover(setting_of(cells("MAML", "maml", MAML, lam=1.0), unsaid))) == 1


def test_interpolation_is_between_logarithms_and_never_beyond() -> None:
    assert at({1: 1.0, 3: 1e-4}, 2) == pytest.approx(1e-2)
    assert at({1: 1.0, 3: 1e-4}, 3) == 1e-4
    assert at({1: 1.0, 3: 1e-4}, 4) is None
    assert at({1: 1.0, 3: 0.0}, 2) is None
    assert math.isclose(at({1: 1.0, 3: 1e-4}, 1) or 0, 1.0)
