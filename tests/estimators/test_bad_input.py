import pytest

import harness


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"steps": 0}, "steps: 0 is not a positive whole number"),
        ({"steps": 2.5}, "steps: 2.5 is not a positive whole number"),
        ({"steps": True}, "steps: True is not"),
        ({"steps": 1, "lr": 0.0}, "lr: 0.0 is neither"),
        ({"steps": 1, "lr": "fast"}, "lr: 'fast' is neither"),
        ({"steps": 1, "lam": 0.0}, "lam: 0.0 is not above 0"),
        ({"steps": 1, "lam": -1.0}, "lam: -1.0 is not"),
        ({"steps": 1, "lam": float("nan")}, "lam: nan is not"),
        ({"steps": 1, "cg_steps": 0}, "cg_steps: 0 is not"),
        ({"steps": 1, "cg_tol": -1.0}, "cg_tol: -1.0 is not"),
        ({"steps": 1, "batching": 2}, "unknown batching '2': known: loop, vmap"),
        ({"steps": 1, "inner": "dg"}, "unknown inner solver 'dg': known: adam, gd"),
        ({"steps": 1, "cg_step": 3}, "unknown parameter 'cg_step': did you mean 'cg_steps'"),
        ({}, "needs steps"),
    ],
)
def test_bad_parameters_are_one_clear_line(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(harness.BadInput, match=f"^estimator 'imaml-cg': {message}") as caught:
        harness.estimator("imaml-cg", **parameters)
    assert "\n" not in str(caught.value)


def test_misspelt_estimator_and_problem() -> None:
    with pytest.raises(harness.BadInput, match="unknown estimator 'imaml-gc': did you mean 'imaml-cg'"):
        harness.estimator("imaml-gc", steps=1)
    with pytest.raises(harness.BadInput, match="unknown problem 'liner': did you mean 'linear'"):
        harness.problem("liner")


def test_a_seed_of_the_sketch() -> None:
    with pytest.raises(harness.BadInput, match=r"^estimator 'imaml-nystrom': sketch_seed: -1 is not a whole"):
        harness.estimator("imaml-nystrom", steps=1, sketch_seed=-1)


def test_maml_takes_no_proximal_term_but_not_a_negative_one() -> None:
    assert harness.estimator("maml", steps=1).lam == 0.0
    with pytest.raises(harness.BadInput, match="estimator 'maml': lam: -1 is not a number >= 0"):
        harness.estimator("maml", steps=1, lam=-1)
