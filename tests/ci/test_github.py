"""What GitHub reads: workflow commands on stdout, and the step's summary."""

from contextlib import suppress
from pathlib import Path

import pytest

from harness.ci import github
from harness.ci.github import LARGEST_SUMMARY_BYTES, annotations, append_summary, commands_stopped
from harness.errors import BadInput
from harness.expectations import Outcome, Verdict

FAILED = Verdict("Flat", "flat", Outcome.FAIL, "grows by 10 B a step", "MAML, K = 1 to 16", None, -1.0)


@pytest.fixture(autouse=True)
def _a_step_of_a_workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "checkout"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))


def test_failed_claims_alone_are_annotated() -> None:
    others = [Verdict("Fine", "flat", outcome, "") for outcome in (Outcome.PASS, Outcome.UNTESTED)]
    assert annotations([FAILED, *others]) == [
        "::error title=Expectation failed%3A Flat::grows by 10 B a step (MAML, K = 1 to 16); expected: flat"
    ]


def test_the_file_is_named_from_the_checkouts_root(tmp_path: Path) -> None:
    [line] = annotations([FAILED], tmp_path / "checkout" / "suites" / "a,b:c%.toml")
    assert line.startswith("::error title=Expectation failed%3A Flat,file=suites/a%2Cb%3Ac%25.toml::")
    [line] = annotations([FAILED], tmp_path / "elsewhere.toml")
    assert "file=" not in line


@pytest.mark.parametrize(
    ("text", "as_property", "as_message"),
    [
        ("100 %", "100 %25", "100 %25"),
        ("%0A::error::x", "%250A%3A%3Aerror%3A%3Ax", "%250A::error::x"),
        ("a\r\n::set-env::b", "a %3A%3Aset-env%3A%3Ab", "a ::set-env::b"),
        ("x,file=other::y", "x%2Cfile=other%3A%3Ay", "x,file=other::y"),
        ("\x1b[31m\u2028red", "[31m red", "[31m red"),
    ],
)
def test_no_text_leaves_its_place(text: str, as_property: str, as_message: str) -> None:
    [line] = annotations([Verdict(text, text, Outcome.FAIL, text)])
    assert line == f"::error title=Expectation failed%3A {as_property}::{as_message}; expected: {as_message}"
    assert len(line.splitlines()) == 1


def test_commands_are_stopped_by_a_word_nobody_knows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []
    for _ in range(2):
        with suppress(KeyError), commands_stopped():
            print("::error::x")
            raise KeyError
        first, inside, last = capsys.readouterr().out.splitlines()
        words.append(first.removeprefix("::stop-commands::"))
        assert (inside, last) == ("::error::x", f"::{words[-1]}::")
        assert len(words[-1]) == 32
    assert words[0] != words[1]
    monkeypatch.setenv("GITHUB_ACTIONS", "")
    with commands_stopped():
        print("x")
    assert capsys.readouterr().out == "x\n"


def test_summaries_follow_each_other(tmp_path: Path) -> None:
    append_summary(lambda: "one λ\n")
    append_summary(lambda: "two\n")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == "one λ\ntwo\n"


@pytest.mark.parametrize("value", ["", None])
def test_without_a_summary_nothing_is_made(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    if value is not None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", value)
    append_summary(lambda: pytest.fail("was made"))


def test_a_summary_stays_within_what_github_takes(tmp_path: Path) -> None:
    line = "λ" * 99 + "\n"
    for _ in range(9):
        append_summary(lambda: line * 4000)
    content = (tmp_path / "summary.md").read_bytes()
    assert LARGEST_SUMMARY_BYTES - 500 < len(content) <= LARGEST_SUMMARY_BYTES
    assert set(content.decode().splitlines()) == {line.strip(), "", "The rest is left out: GitHub takes 1 MiB a step."}


def test_a_summary_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/proc/nowhere/summary.md")
    with pytest.raises(BadInput, match=r"^GITHUB_STEP_SUMMARY: cannot write to /proc/nowhere/summary\.md: No such"):
        append_summary(lambda: "x")


def test_other_ci_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    assert not github.in_actions()
