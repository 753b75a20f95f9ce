import csv
import math
from pathlib import Path

import pytest

from harness.cell import METRICS, Measurement, Status
from harness.report import write_report
from harness.report.laws import COSTS, laws_frame, laws_markdown, laws_table, scalings
from harness.report.settings import Setting, settings
from harness.scaling import Law
from tests.report.synthetic import HOSTILE, curve, measurement, memory, run

STEPS = (1, 2, 4, 8, 16)


def setting_of(*cells: Measurement) -> Setting:
    (found,) = settings([run(cells)])
    return found


def costs(k: int) -> dict[str, list[float]]:
    return {
        **memory(26.4e6, 58e6)(k),
        "gradient_count": [2.0 * k + 1],
        "flops": [1e6 * k**2],
        "hvp_count": [0.0],
        "query_loss": [1.0 / k],
    }


def test_every_cost_is_a_metric() -> None:
    assert set(COSTS) <= METRICS.keys()


def test_there_is_a_law_an_estimator_and_cost() -> None:
    setting = setting_of(
        *curve("MAML", "maml", STEPS, costs),
        *curve("CG", "imaml-cg", STEPS, memory(0, 77e6)),
        *curve("once", "once", (4,), memory(0, 77e6)),
    )
    assert {key: law.law for key, law in scalings(setting).items()} == {
        ("MAML", "peak_bytes"): Law.LINEAR,
        ("CG", "peak_bytes"): Law.FLAT,
        ("MAML", "flops"): Law.SUPERLINEAR,
        ("MAML", "gradient_count"): Law.LINEAR,
        ("MAML", "hvp_count"): Law.FLAT,
    }
    assert scalings(setting, ["query_loss"])["MAML", "query_loss"].exponent == pytest.approx(-1)


def test_the_laws_are_those_of_the_medians_of_cells_that_ended_well() -> None:
    def outlying(k: int) -> dict[str, list[float]]:
        return {"wall_seconds": [0.1 * k, 0.1 * k, 9.0]}

    lost = measurement("MAML", 32, status=Status.OOM, metrics={"wall_seconds": [0.0]})
    law = scalings(setting_of(*curve("MAML", "maml", STEPS, outlying), lost))["MAML", "wall_seconds"]
    assert law.slope == pytest.approx(0.1)
    assert law.last[0] == 16


def test_over_anything_but_steps_there_is_no_law() -> None:
    for x in ("evaluations", "kappa"):
        setting = setting_of(*curve("MAML", "maml", STEPS, costs, studies=({"title": "A", "x": x, "label": "MAML"},)))
        assert scalings(setting) == {}
        assert laws_table(setting) is None
        assert laws_markdown([setting]) == ""


def test_the_table_writes_each_law_in_its_own_unit() -> None:
    table = laws_table(setting_of(*curve("MAML", "maml", STEPS, costs)))
    assert table is not None
    assert table.headers == [
        *("estimator", "metric", "law", "slope per step", "R² of line", "exponent", "R² of curve", "K"),
    ]
    texts = [row.texts for row in table.rows]
    assert texts[0] == ["MAML", "peak memory", "linear", "26.4 MB", "1.0000", "1.00", "1.0000", "1 to 16"]
    assert texts[1][:3] == ["MAML", "operations", "superlinear"]
    assert texts[1][5:] == ["2.00", "1.0000", "1 to 16"]
    assert texts[2] == ["MAML", "gradients", "linear", "2", "1.0000", "1.00", "1.0000", "1 to 16"]
    flat = ["MAML", "Hessian-vector products", "flat", "0", "", "it does not grow", "", "1 to 16"]
    assert texts[3] == flat


def test_intervals_stand_in_brackets_where_they_show() -> None:
    noisy: dict[int, float] = dict(zip(STEPS, (0.105, 0.19, 0.41, 0.79, 1.62), strict=True))
    setting = setting_of(*curve("MAML", "maml", STEPS, lambda k: {"wall_seconds": [noisy[k]]}))
    law = scalings(setting)["MAML", "wall_seconds"]
    table = laws_table(setting)
    assert table is not None
    assert law.slope_interval is not None
    assert law.curve is not None
    low, high = law.slope_interval
    assert table.rows[0].texts[3] == f"{1e3 * law.slope:.1f} ms ({1e3 * low:.1f} to {1e3 * high:.0f})"
    assert table.rows[0].texts[5] == f"{law.exponent:.2f} ({law.curve.low:.2f} to {law.curve.high:.2f})"


def test_an_interval_over_all_exponents_tells_none() -> None:
    scattered: dict[int, float] = dict(zip(STEPS, (1.0, 1.3, 0.9, 1.2, 1.4), strict=True))
    table = laws_table(setting_of(*curve("MAML", "maml", STEPS, lambda k: {"wall_seconds": [scattered[k]]})))
    assert table is not None
    assert table.rows[0].texts[5] == "undetermined"


def test_two_k_have_a_slope_alone() -> None:
    table = laws_table(setting_of(*curve("MAML", "maml", (1, 16), memory(26.4e6, 58e6))))
    assert table is not None
    assert table.rows[0].texts[2:] == ["neither", "26.4 MB", "1.0000", "fewer than 4 K", "", "1 to 16"]


def test_markdown_has_a_table_a_setting_and_no_markup_from_runs() -> None:
    cells = [*curve("MAML", "maml", STEPS, costs), *curve(HOSTILE, "maml", STEPS, costs, dtype="float64")]
    text = laws_markdown(settings([run(cells)]))
    assert text.count("\n## ") + text.startswith("## ") == 2
    assert "| MAML | peak memory | linear | 26.4 MB |" in text
    assert "<script>" not in text


def test_the_file_has_full_precision_and_blanks(tmp_path: Path) -> None:
    slope = 26.4e6 / 3
    setting = setting_of(*curve("MAML", "maml", STEPS, memory(slope, 58e6)), *curve("A", "a", (1, 2), memory(1, 1)))
    held = laws_frame([setting]).to_dict("records")
    assert [row["law"] for row in held] == ["linear", "neither"]
    assert held[0]["slope_per_step"] == pytest.approx(slope, rel=1e-12)
    assert math.isnan(held[1]["exponent"])
    write_report([run(setting.measurements)], tmp_path)
    with (tmp_path / "laws.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["slope_per_step"]) == held[0]["slope_per_step"]
    assert (rows[0]["unit"], rows[0]["first_steps"], rows[0]["last_steps"]) == ("B", "1", "16")
    assert (rows[1]["exponent"], rows[1]["slope_per_step_low"]) == ("", "")
    assert rows[1]["without_exponent"] == "fewer than 4 K"
    assert (tmp_path / "laws.md").read_text() == laws_markdown([setting])


def test_the_page_has_the_laws_and_their_rule(tmp_path: Path) -> None:
    page = write_report([run(curve("MAML", "maml", STEPS, costs))], tmp_path / "with").read_text()
    section = page.split("<h2>Scaling laws in K</h2>")[1].split("</section>")[0]
    assert "<td>26.4 MB</td>" in section
    assert "<td>superlinear</td>" in section
    assert "within 0.9 to 1.1" in page.split("<h2>How to read the numbers</h2>")[1]
    assert "Scaling laws" not in write_report([run([measurement()])], tmp_path / "without").read_text()
