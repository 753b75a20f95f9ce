import math

import pytest
from pydantic import ValidationError

from harness.cell import METRICS, Cell, Measurement, Part, Status, Study, metric_of, varied

STUDY = Study(title="one", x="cg_steps", label="iMAML")


def example(**changes: object) -> Cell:
    content: dict[str, object] = {
        "problem": Part(name="linear", parameters={"dim": 50, "kappa": 100.0}),
        "estimator": Part(name="imaml-cg", parameters={"lr": "auto", "lam": 0.1, "cg_steps": 5}),
        "label": "iMAML, 5 CG steps",
        "steps": 25,
        "dtype": "float64",
        "draws": 20,
        "references": ("backprop", "implicit"),
    }
    return Cell.model_validate({**content, **changes})


def test_key_is_stable():
    # Stored runs are found again by their keys: a change here means a new SCHEMA_VERSION.
    assert example().key == "1379321077904c25"


def test_key_follows_a_changed_copy():
    cell = example()
    assert cell.key != cell.model_copy(update={"steps": 26}).key == example(steps=26).key
    assert cell == example()
    assert hash(cell.model_dump_json()) == hash(example().model_dump_json())


def test_a_family_differs_in_steps_alone():
    assert example(steps=26).family == example().family
    assert example(seed=1).family != example().family


@pytest.mark.parametrize("change", [{"label": "another"}, {"time_limit_seconds": 1.0}])
def test_key_leaves_out_what_does_not_change_the_numbers(change: dict[str, object]):
    assert example(**change).key == example().key


def test_key_leaves_out_the_order_of_parameters():
    problem = Part(name="linear", parameters={"kappa": 100.0, "dim": 50})
    assert example(problem=problem).key == example().key


CHANGES: dict[str, object] = {
    "problem": Part(name="linear", parameters={"dim": 51, "kappa": 100.0}),
    "estimator": Part(name="maml", parameters={"lr": "auto", "lam": 0.1}),
    "steps": 26,
    "tasks": 2,
    "dtype": "float32",
    "device": "cuda:0",
    "threads": 2,
    "seed": 1,
    "draws": 19,
    "measure": ("time",),
    "references": (),
    "min_samples": 4,
    "min_seconds": 0.3,
    "max_seconds": 0.3,
    "precision": 0.3,
}


@pytest.mark.parametrize(
    "field", [name for name in Cell.model_fields if name not in ("label", "time_limit_seconds", "studies")]
)
def test_key_changes_with_everything_else(field: str):
    assert example(**{field: CHANGES[field]}).key != example().key


def test_measurement_survives_the_round_trip():
    cell = example()
    metrics = {"wall_seconds": [0.1, 1e-300, 0.1 + 0.2], "query_loss": [math.inf, -math.inf, math.nan]}
    before = Measurement(
        key=cell.key, cell=cell, status=Status.DIVERGED, reason="not\nfinite", started_at="now", metrics=metrics
    )
    text = before.model_dump_json()
    assert "\n" not in text
    after = Measurement.model_validate_json(text)
    assert after.cell == before.cell
    assert after.cell.key == after.key == cell.key
    assert (after.status, after.reason) == (Status.DIVERGED, "not\nfinite")
    assert after.metrics["wall_seconds"] == metrics["wall_seconds"]
    assert after.metrics["query_loss"][:2] == [math.inf, -math.inf]
    assert math.isnan(after.metrics["query_loss"][2])


@pytest.mark.parametrize("value", [True, 1, 1.0, "1", [1, 2.0, "auto", False]])
def test_parameters_keep_their_types(value: object):
    part = Part.model_validate({"name": "maml", "parameters": {"x": value}})
    kept = Part.model_validate_json(part.model_dump_json()).parameters["x"]
    assert repr(kept) == repr(value)


@pytest.mark.parametrize("change", [{"steps": 0}, {"dtype": "float16"}, {"measure": ("tiem",)}, {"colour": "red"}])
def test_invalid_cells_are_refused(change: dict[str, object]):
    with pytest.raises(ValidationError, match=next(iter(change))):
        example(**change)


def test_every_metric_has_a_unit_and_a_meaning():
    assert all(metric.unit and metric.meaning for metric in METRICS.values())
    assert {"wall_seconds", "peak_bytes", "implicit_relative_error", "backprop_cosine"} <= set(METRICS)


def test_a_part_in_words():
    part = Part(name="linear", parameters={"dim": 50, "kappa": 100.0})
    assert part.words == "linear (dim=50, kappa=100.0)"
    assert part.only(["kappa", "n"]).words == "linear (kappa=100.0)"
    assert part.only([]).words == "linear"


def test_what_varies_does_so_among_parts_of_one_name():
    parts = [Part(name="linear", parameters={"dim": dim, "n": 5}) for dim in (1, 2, 1)]
    assert varied(parts) == ["dim"]
    assert varied(parts[:1]) == varied([]) == []
    assert varied([parts[0], Part(name="mlp", parameters={"dim": 7, "depth": 2})]) == []
    assert varied([parts[0], Part(name="linear", parameters={"dim": 1})]) == ["n"]


def test_a_metric_that_is_not_known_has_no_unit():
    assert metric_of("peak_bytes") is METRICS["peak_bytes"]
    assert (metric_of("new").unit, metric_of("new").meaning) == ("1", "new")


def test_a_part_says_what_the_suite_gave_and_is_what_it_computes():
    whole = Part(name="linear", parameters={"dim": 50, "kappa": 100.0, "noise": 0.1}, given={"kappa": 100})
    assert whole.words == "linear (kappa=100)"
    assert whole.stated == {"kappa": 100}
    assert whole == Part(name="linear", parameters=whole.parameters)
    assert whole != Part(name="linear", parameters={"kappa": 100})
    assert whole.content == Part(name="linear", parameters=dict(reversed(whole.parameters.items()))).content
    assert whole.only(["noise", "kappa"]).words == "linear (kappa=100, noise=0.1)"
    assert (whole.without("kappa").words, list(whole.without("kappa").parameters)) == ("linear", ["dim", "noise"])


def test_a_completed_part_remembers_what_was_given_where_that_is_not_all():
    given = Part(name="linear", parameters={"kappa": 100})
    assert given.completed({"kappa": 100}).given is None
    assert given.completed({"kappa": 100.0}).given == {"kappa": 100}
    whole = given.completed({"kappa": 100.0, "dim": 50})
    assert (whole.given, whole.completed(whole.parameters)) == ({"kappa": 100}, whole)
    assert whole.completed(whole.parameters).given == {"kappa": 100}


def test_key_is_of_all_parameters_and_not_of_how_they_were_given():
    bare, whole = Part(name="maml"), Part(name="maml").completed({"lam": 0.0})
    assert example(estimator=whole).key == example(estimator=Part(name="maml", parameters={"lam": 0.0})).key
    assert example(estimator=whole).key != example(estimator=bare).key
    assert example(estimator=whole).key != example(estimator=bare.completed({"lam": 0.5})).key, "a changed default"


def test_a_cell_of_two_studies_states_what_either_gave():
    parameters = {"lam": 1.0, "cg_steps": 5}
    one = example(estimator=Part(name="imaml-cg", parameters=parameters, given={}))  # pyright: ignore[reportArgumentType]
    other = example(estimator=Part(name="imaml-cg", parameters=parameters, given={"cg_steps": 5}), studies=(STUDY,))  # pyright: ignore[reportArgumentType]
    both = one.seen_as(other)
    assert (one.stated("cg_steps"), both.stated("cg_steps"), both.stated("kappa")) == (None, 5, 100.0)
    assert (both.key, both.studies) == (one.key, (STUDY,))
