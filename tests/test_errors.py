"""Messages that name what was asked for and what there is."""

import re

import pytest

import harness
from harness.errors import LONGEST_LINE, BadInput, faults_of, unknown
from harness.parts import first_draw


def test_names_are_told_apart_where_one_holds_a_comma() -> None:
    assert str(unknown("part", "x", ["maml", "cg"])) == "unknown part 'x': known: cg, maml"
    assert str(unknown("part", "x", ["MAML", "MAML, replay"])) == "unknown part 'x': known: 'MAML', 'MAML, replay'"


def test_a_fault_of_the_harness_goes_through() -> None:
    seed: int = "seven"  # pyright: ignore[reportAssignmentType]
    with pytest.raises(ValueError, match="seed"):
        first_draw(harness.problem("linear", dim=3, n=5), seed, "linear")


def test_bad_input_within_stays_as_it_is() -> None:
    with pytest.raises(BadInput, match=r"^as it is$"), faults_of(Mine, "mine"):
        raise BadInput("as it is")


def test_any_other_exception_of_a_users_code_becomes_bad_input() -> None:
    broken: list[str] = [1]  # pyright: ignore[reportAssignmentType]
    where = r"\(test_errors.py, line \d+\)"
    with pytest.raises(BadInput, match=rf"^mine raised TypeError: .* {where}$"), faults_of(Mine, "mine"):
        unknown("part", "x", broken)


class Mine:
    """A part that is not the harness's."""


def test_a_message_that_quotes_much_keeps_its_ends() -> None:
    message = str(BadInput(f"suite.toml: lam: '{'x' * 10_000}' is no number"))
    assert len(message) == LONGEST_LINE
    assert re.fullmatch(r"suite\.toml: lam: 'x+…x+' is no number", message)
    assert str(BadInput("short")) == "short"


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    assert str(BadInput("suite.toml: grid.a\tb\nc\x1b[2J: unknown")) == r"suite.toml: grid.a\tb\nc\x1b[2J: unknown"
