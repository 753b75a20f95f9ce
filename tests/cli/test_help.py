"""Help as it is shown."""

import re
from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import app

VERBS = sorted(typer.main.get_command(app).commands)  # pyright: ignore[reportAttributeAccessIssue]


def shown(*words: str) -> str:
    result = CliRunner().invoke(app, [*words], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert result.exit_code == 0
    return result.stdout


def test_every_verb_is_told_of() -> None:
    assert {"run", "check", "validate"} <= set(VERBS)
    assert all(verb in shown("--help") for verb in VERBS)


@pytest.mark.parametrize("words", [(), *((verb,) for verb in VERBS)])
def test_no_brackets_are_lost(words: tuple[str, ...]) -> None:
    text = shown(*words, "--help")
    assert "[]" not in text
    assert "\\" not in text
    if words in [(), ("check",)]:
        assert "its [[expect]] tables" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_bracket_of_a_help_text_reaches_the_reader(verb: str) -> None:
    command = typer.main.get_command(app).commands[verb]  # pyright: ignore[reportAttributeAccessIssue]
    texts = [command.help, command.epilog, *(getattr(each, "help", None) for each in command.params)]
    written = [part for text in texts if text for part in re.findall(r"\[+[^\]]*\]+", text.replace("\\[", "["))]
    assert [part for part in written if part not in shown(verb, "--help")] == []


def test_the_version_is_shown() -> None:
    assert shown("--version") == f"imaml-bench {version('imaml-bench')}\n"
