import math
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cell import Measurement, Status
from harness.report import write_report
from harness.report.table1 import decay, reach, table1
from tests.report.synthetic import measurement, run

LAMS = (0.1, 0.05, 0.025, 0.0125)
STEPS = tuple(2**power for power in range(2, 12))


def descent(
    estimator: str, rate: Callable[[float], float], work: Callable[[int], float], inner: str = "gd", **more: object
) -> list[Measurement]:
    """Errors that fall by e^(-rate(κ)) a step, at λ that make for κ of 11 to 81."""
    return [
        measurement(
            estimator, k, estimator=estimator, parameters={"inner": inner, "lr": "auto", "lam": lam, **more},
            problem={"name": "linear", "parameters": {"kappa": 1e12}},
            metrics={
                "implicit_relative_error": [math.exp(-k * rate((1 + lam) / lam))],
                "gradient_count": [work(k)], "hvp_count": [0.0],
            },
        )
        for lam in LAMS for k in STEPS
    ]  # fmt: skip


def memory(estimator: str, of: Callable[[int], float], steps: tuple[int, ...] = STEPS) -> list[Measurement]:
    return [
        measurement(estimator, k, estimator=estimator, metrics={"peak_bytes": [of(k)]}, dtype="float64") for k in steps
    ]


def row(cells: list[Measurement], title: str) -> list[str]:
    found = table1(cells)
    assert found is not None
    (texts,) = [each.texts for each in found.rows if each.texts[0] == title]
    return texts


def test_exponents_of_a_known_law_are_found() -> None:
    gd = descent("maml", lambda kappa: 1 / kappa, lambda k: 3.0 * k)
    nesterov = descent("maml", lambda kappa: 1 / math.sqrt(kappa), lambda k: 3.0 * k, inner="nesterov(momentum=0.9)")
    cells = [*gd, *nesterov, *memory("maml", lambda k: 5e4 * k)]
    assert row(cells, "MAML, GD") == [
        *("MAML, GD", "1", "1.00 (1.00 to 1.00; 4 points, R² 1.000)"),
        *("−1", "−1.00 (−1.00 to −1.00; 4 points, R² 1.000)", "1", "1.00 (1.00 to 1.00; 10 points, R² 1.000)"),
    ]
    assert row(cells, "MAML, Nesterov")[1:5] == [
        *("½", "0.50 (0.50 to 0.50; 4 points, R² 1.000)", "−½", "−0.50 (−0.50 to −0.50; 4 points, R² 1.000)"),
    ]
    assert row(cells, "MAML, Nesterov")[-1] == "too few points"


def test_work_is_the_least_over_the_numbers_of_cg_steps() -> None:
    cheap = descent("imaml-cg", lambda kappa: 1 / kappa, lambda k: k, cg_steps=5)
    dear = descent("imaml-cg", lambda kappa: 1 / kappa, lambda k: k + 1e4, cg_steps=50)
    assert row([*cheap, *dear], "iMAML, GD inside")[2].startswith("1.00 ")
    assert not row(dear, "iMAML, GD inside")[2].startswith("1.00 ")


def test_flat_memory_has_no_r_squared() -> None:
    cells = [*descent("imaml-cg", lambda kappa: 1 / kappa, float), *memory("imaml-cg", lambda k: 4e4)]
    assert row(cells, "iMAML, GD inside")[-1] == "0.00 (0.00 to 0.00; 10 points)"


def test_memory_over_a_short_range_is_not_fitted() -> None:
    cells = [*descent("maml", lambda kappa: 1 / kappa, float), *memory("maml", float, (4, 8, 16))]
    assert row(cells, "MAML, GD")[-1] == "too few points"


def test_no_table_where_the_data_do_not_suffice() -> None:
    two = [m for m in descent("maml", lambda kappa: 1 / kappa, float) if m.cell.estimator.parameters["lam"] in LAMS[:2]]
    assert table1(two) is None
    assert table1(memory("maml", float)) is None
    assert table1([measurement(estimator="unknown")]) is None
    failed = [m.model_copy(update={"status": Status.CRASH}) for m in descent("maml", lambda kappa: 1 / kappa, float)]
    assert table1(failed) is None


def test_reaching_an_error_is_interpolated_and_never_guessed() -> None:
    assert reach({10: 1.0, 30: 1e-4}, 1e-2) == pytest.approx(20)
    assert reach({10: 1.0, 30: 1e-4, 40: 1e-2, 50: 1e-5}, 1e-2) == pytest.approx(20)
    assert reach({10: 1.0, 30: 0.0}, 1e-2) == 30
    assert reach({10: 1.0, 30: 0.1}, 1e-2) is None
    assert reach({10: 1e-3, 30: 1e-4}, 1e-2) is None


def test_the_rate_leaves_out_start_floor_and_rounding() -> None:
    falling = {k: math.exp(-0.1 * k) for k in (10, 20, 40, 80)}
    assert decay({1: 3.0, **falling, 400: 1e-15, 500: 1e-16}) == pytest.approx(0.1)
    assert decay({**falling, 200: 3.0e-4, 400: 3.0e-4}) == pytest.approx(0.1)
    assert decay({10: 0.5, 20: 0.4, 40: 0.4}) is None
    assert decay({10: 1e-3, 20: 1e-2, 40: 1e-1, 80: 1e-4}) is None


def test_page_and_file_hold_the_table(tmp_path: Path) -> None:
    page = write_report([run(descent("maml", lambda kappa: 1 / kappa, float))], tmp_path).read_text()
    assert "Table 1: theory and measurement" in page
    assert "MAML, GD" in (tmp_path / "table1.md").read_text()
    assert "1.00 (1.00 to 1.00; 4 points, R² 1.000)" in page
    other = tmp_path / "other"
    assert "Table 1" not in write_report([run([measurement()])], other).read_text()
    assert not (other / "table1.md").exists()
