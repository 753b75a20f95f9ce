"""Inner solvers as strings."""

import dataclasses

import pytest

from harness.errors import BadInput
from harness.inner import Adam, GradientDescent, HeavyBall, InnerSolver, Lbfgs, Nesterov, NewtonCg, inner_solver
from harness.inner.spec import Scalar, parse
from harness.registry import INNER_SOLVERS
from tests.inner.examples import SPECS


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("gd", GradientDescent()),
        ("gd()", GradientDescent()),
        ("heavy-ball", HeavyBall("auto")),
        ("heavy-ball(momentum='auto')", HeavyBall("auto")),
        ("nesterov(momentum=0.8)", Nesterov(0.8)),
        (" nesterov ( momentum = 8e-1 , ) ", Nesterov(0.8)),
        ('nesterov(momentum="auto")', Nesterov("auto")),
        ("adam(beta2=0.9, eps=1)", Adam(beta2=0.9, eps=1)),
        ("lbfgs(memory=3)", Lbfgs(3)),
        ("newton-cg(cg_steps=10)", NewtonCg(10)),
    ],
)
def test_names_and_parameters(spec: str, expected: InnerSolver) -> None:
    assert inner_solver(spec) == expected


def test_every_solver_is_registered_and_works_without_parameters() -> None:
    assert INNER_SOLVERS.names()[: len(SPECS)] == SPECS
    for name in SPECS:
        solver = inner_solver(name)
        assert dataclasses.is_dataclass(solver)
        assert hash(solver) == hash(inner_solver(name))


@pytest.mark.parametrize(
    ("text", "value"), [("-2", -2), ("+1.5", 1.5), ("True", True), ("'a, b=(c)'", "a, b=(c)"), ("0x10", 16)]
)
def test_values_are_literals(text: str, value: Scalar) -> None:
    assert parse(f"name(key={text})") == ("name", {"key": value})
    assert type(parse(f"name(key={text})")[1]["key"]) is type(value)


FORM = "is not of the form name or name(parameter=value, ...)"
VALUE = "is not a number, a quoted string, True or False"
FRACTION = "is not a number >= 0 and < 1"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nestrov", "unknown inner solver 'nestrov': did you mean 'nesterov'?"),
        ("nestrov(momentum=0.8)", "unknown inner solver 'nestrov': did you mean 'nesterov'?"),
        ("nesterov=0.8", "unknown inner solver 'nesterov=0.8': did you mean 'nesterov'?"),
        ("x", "unknown inner solver 'x': known: adam, gd, heavy-ball, lbfgs, nesterov, newton-cg"),
        ("nesterov(momentun=0.8)", "inner solver 'nesterov': unknown parameter 'momentun': did you mean 'momentum'?"),
        ("lbfgs(m=3)", "inner solver 'lbfgs': unknown parameter 'm': known: memory"),
        ("", f"inner solver '' {FORM}"),
        ("gd(", f"inner solver 'gd(' {FORM}"),
        ("gd)", f"inner solver 'gd)' {FORM}"),
        ("(a=1)", f"inner solver '(a=1)' {FORM}"),
        ("lbfgs 3", f"inner solver 'lbfgs 3' {FORM}"),
        ("lbfgs(3)", f"inner solver 'lbfgs(3)' {FORM}"),
        ("lbfgs(memory)", f"inner solver 'lbfgs(memory)' {FORM}"),
        ("lbfgs(memory=)", f"inner solver 'lbfgs(memory=)' {FORM}"),
        ("lbfgs(memory=3)(memory=4)", f"inner solver 'lbfgs(memory=3)(memory=4)' {FORM}"),
        ("lbfgs(memory=3) + x(a=1)", f"inner solver 'lbfgs(memory=3) + x(a=1)' {FORM}"),
        ("lbfgs(**{'memory': 3})", f"inner solver \"lbfgs(**{{'memory': 3}})\" {FORM}"),
        ("lbfgs(*[3])", f"inner solver 'lbfgs(*[3])' {FORM}"),
        ("lbfgs(memory=\0)", rf"inner solver 'lbfgs(memory=\x00)' {FORM}"),
        ("lbfgs(memory=3, memory=4)", "inner solver 'lbfgs(memory=3, memory=4)': memory is given twice"),
        ("lbfgs(memory=exit())", f"inner solver 'lbfgs(memory=exit())': memory: 'exit()' {VALUE}"),
        ("lbfgs(memory=2+1)", f"inner solver 'lbfgs(memory=2+1)': memory: '2+1' {VALUE}"),
        ("nesterov(momentum=auto)", f"inner solver 'nesterov(momentum=auto)': momentum: 'auto' {VALUE}"),
        ("lbfgs(memory=None)", f"inner solver 'lbfgs(memory=None)': memory: 'None' {VALUE}"),
        ("lbfgs(memory=[3])", f"inner solver 'lbfgs(memory=[3])': memory: '[3]' {VALUE}"),
        ("lbfgs(memory=3j)", f"inner solver 'lbfgs(memory=3j)': memory: '3j' {VALUE}"),
        ("lbfgs(memory={[]: 1})", f"inner solver 'lbfgs(memory={{[]: 1}})': memory: '{{[]: 1}}' {VALUE}"),
        ("heavy-ball(momentum=1)", f"inner solver 'heavy-ball': momentum: 1 {FRACTION}, nor 'auto'"),
        ("nesterov(momentum=-0.1)", f"inner solver 'nesterov': momentum: -0.1 {FRACTION}, nor 'auto'"),
        ("nesterov(momentum=False)", f"inner solver 'nesterov': momentum: False {FRACTION}, nor 'auto'"),
        ("nesterov(momentum='big')", f"inner solver 'nesterov': momentum: 'big' {FRACTION}, nor 'auto'"),
        ("adam(beta1=1.0)", f"inner solver 'adam': beta1: 1.0 {FRACTION}"),
        ("adam(beta2=2)", f"inner solver 'adam': beta2: 2 {FRACTION}"),
        ("adam(eps=0)", "inner solver 'adam': eps: 0 is not a number above 0"),
        ("adam(eps=1e999)", "inner solver 'adam': eps: inf is not a number above 0"),
        ("adam(eps=True)", "inner solver 'adam': eps: True is not a number above 0"),
        ("lbfgs(memory=0)", "inner solver 'lbfgs': memory: 0 is not a positive whole number"),
        ("lbfgs(memory=2.0)", "inner solver 'lbfgs': memory: 2.0 is not a positive whole number"),
        ("newton-cg(cg_steps=True)", "inner solver 'newton-cg': cg_steps: True is not a positive whole number"),
    ],
)
def test_bad_input_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        inner_solver(spec)
    assert str(caught.value) == message


@pytest.mark.parametrize("spec", [3, None, ["gd"]])
def test_not_a_string(spec: str) -> None:
    with pytest.raises(BadInput, match="is not of the form"):
        inner_solver(spec)


@pytest.mark.parametrize(
    "value", ["(" * 100_000, "-" * 100_000 + "1", "9" * 10_000, "1+" * 500 + "1", "1+" * 5_000 + "1", "'\ud800'"]
)
def test_a_monster_is_bad_input_too(value: str) -> None:
    with pytest.raises(BadInput):
        inner_solver(f"lbfgs(memory={value})")


def test_nan_is_no_momentum() -> None:
    with pytest.raises(BadInput, match="momentum: nan is not a number"):
        Nesterov(float("nan"))
