from harness.cell import Measurement, Status
from harness.report.settings import Setting, settings
from harness.report.tables import markdown, table
from tests.report.synthetic import HOSTILE, measurement, run

OK = measurement(
    metrics={
        "wall_seconds": [0.0451, 0.0450, 0.0460],
        "peak_bytes": [84_400_000.0],
        "implicit_relative_error": [1.53e-5],
        "aura": [1.0],
    }
)


def setting_of(*cells: Measurement) -> Setting:
    (found,) = settings([run(cells)])
    return found


def test_units_are_in_the_headers_and_quartiles_in_brackets() -> None:
    found = table(setting_of(OK))
    assert found.headers == ["estimator", "K", "status", "wall time (ms)", "peak memory (MB)", "error against implicit"]
    assert found.rows[0].texts == ["MAML", "1", "ok", "45.1 (45.0 to 45.5)", "84.4", "1.5e-5"]
    assert not found.rows[0].failed


def test_quartiles_that_read_the_same_are_left_out() -> None:
    near_one = measurement(metrics={"backprop_cosine": [0.99999, 1.0, 1.0, 1.0, 0.99999]})
    assert table(setting_of(near_one)).rows[0].texts[-1] == "1"


def test_a_column_keeps_to_one_unit() -> None:
    large = measurement(steps=64, metrics={"peak_bytes": [1.7476e9]})
    larger = measurement(steps=128, metrics={"peak_bytes": [3.4372e9]})
    found = table(setting_of(OK, large, larger))
    column = found.headers.index("peak memory (GB)")
    assert [row.texts[column] for row in found.rows] == ["0.0844", "1.75", "3.44"]


def test_failed_cells_have_their_status_and_reason() -> None:
    found = table(setting_of(OK, measurement(steps=2, status=Status.TIMEOUT, reason="600 s were not enough")))
    assert found.headers[-1] == "reason"
    assert found.rows[1].failed
    assert found.rows[1].texts == ["MAML", "2", "timeout", "", "", "", "600 s were not enough"]


def test_seeds_are_shown_where_they_differ() -> None:
    found = table(setting_of(measurement(seed=3), measurement(seed=4)))
    assert found.headers == ["estimator", "K", "seed", "status"]
    assert [row.texts[2] for row in found.rows] == ["3", "4"]


def test_markdown_has_a_table_a_setting() -> None:
    text = markdown(settings([run([OK, measurement(steps=2, dtype="float64")])]))
    first, second = text.split("\n\n## ")
    assert first.startswith("## linear (dim=50), 1 task, float32, cpu (Some CPU), 1 thread\n\n| estimator | K |")
    assert first.splitlines()[3] == "| --- | --- | --- | --- | --- | --- |"
    assert "float64" in second


def test_markdown_escapes_what_would_be_markup() -> None:
    text = markdown([setting_of(measurement(HOSTILE, status=Status.CRASH, reason="[a](b) `c`\n| *d*"))])
    row = text.splitlines()[-1]
    assert row == (
        "| \\_&lt;script&gt;alert(\"x\")&lt;/script&gt; &#36;\\\\frac&#36; a\\|b c &amp; 'd' | 1 | crash | "
        "\\[a\\](b) \\`c\\` \\| \\*d\\* |"
    )


def test_a_study_over_a_parameter_has_a_column_for_it() -> None:
    cells = [
        measurement("CG", 9, parameters={"cg_steps": 5}, studies=({"title": "A", "x": "cg_steps", "label": "CG"},)),
        measurement("MAML", 9, studies=({"title": "A", "x": "cg_steps", "label": "MAML"},)),
    ]
    found = table(setting_of(*cells))
    assert found.headers == ["estimator", "CG steps", "K", "status"]
    assert [row.texts for row in found.rows] == [["CG", "5", "9", "ok"], ["MAML", "", "9", "ok"]]
