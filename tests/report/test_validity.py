from harness.report.settings import Setting, settings
from harness.report.validity import in_question, validity
from tests.report.synthetic import measurement, run


def setting_of(least: dict[int, list[float]], problem: str = "sinusoid", residual: float = 1e-9) -> Setting:
    cells = [
        measurement(
            "CG", k, estimator="imaml-cg", parameters={"lam": 1.0}, problem={"name": problem, "parameters": {}},
            metrics={"smallest_curvature": samples, "inner_residual": [residual]},
        )
        for k, samples in least.items()
    ]  # fmt: skip
    (found,) = settings([run(cells)])
    return found


def test_where_the_premise_holds() -> None:
    assert validity(setting_of({1: [15.0, 16.0], 4: [15.5, 17.0]})) == [
        "The smallest eigenvalue of H + λI, estimated from below, is 15 (at K = 1) or more in every seed, above 0: "
        "the implicit gradient is defined everywhere measured.",
        "The inner residual at K = 4 is 1.0e-9 (median), so the inner problem is solved.",
    ]


def test_where_it_does_not_hold_in_some_seed() -> None:
    assert validity(setting_of({1: [3.0, -2.0], 4: [0.5, 0.1], 16: [0.0, 1.0]}, residual=0.02)) == [
        "The smallest eigenvalue of H + λI, estimated from below, comes down to -2 (at K = 1); in some seed it is not "
        "above 0 at K = 1 and 16: there the implicit method's premise is in doubt.",
        "The inner residual at K = 16 is 0.020 (median), so the inner problem is not solved to 1e-6.",
    ]


def test_nothing_to_say_without_implicit_methods() -> None:
    (setting,) = settings([run([measurement(metrics={"inner_residual": [0.1]})])])
    assert validity(setting) == []


def test_linear_regression_is_known_to_be_convex() -> None:
    assert in_question(setting_of({1: [1.0]}))
    assert not in_question(setting_of({1: [1.0]}, problem="linear"))
