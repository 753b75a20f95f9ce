"""What the README shows is run as it stands."""

import re
import shlex
from pathlib import Path

import pytest

from harness.report.findings import findings
from harness.report.settings import settings
from harness.store import load_run
from harness.suite import load_suite

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs_as_pasted(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert {"result", "frame", "report"} & names.keys()


def test_the_suite_is_one(tmp_path: Path) -> None:
    [text] = blocks("toml")
    path = tmp_path / "my.toml"
    path.write_text(text)
    cells = load_suite(path).cells("cpu", 1)
    assert len(cells) == 4 * 3


def test_every_command_is_one() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("imaml-bench")]
    verbs = [shlex.split(line, comments=True)[1] for line in lines]
    assert verbs == ["list", "plan", "run", "run", "report", "validate", "validate"]


def test_findings_are_those_of_the_published_run() -> None:
    match = re.search(r"<!-- findings of (\S+) -->\n(.*?)<!-- /findings -->", README, re.DOTALL)
    assert match is not None
    run = load_run(ROOT / match[1])
    computed = [sentence for setting in settings([run]) for sentence in findings(setting)]
    quoted = [line.removeprefix("- ") for line in match[2].splitlines() if line]
    assert quoted
    assert [sentence for sentence in quoted if sentence not in computed] == []


def test_links_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
