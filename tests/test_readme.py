"""What README and docs show is run as it stands."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.cli import app
from harness.report.findings import findings
from harness.report.settings import settings
from harness.store import load_run
from harness.suite import load_suite

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    return [block for page in PAGES for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("code", [code for code in blocks("python") if "def test_" not in code])
def test_python_runs_as_pasted(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert {"result", "frame", "report"} & names.keys()


def test_tests_pass_as_pasted(pytester: pytest.Pytester) -> None:
    [code] = [code for code in blocks("python") if "def test_" in code]
    pytester.makepyfile(test_pasted=code)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", "--metagrad-report")
    result.assert_outcomes(passed=code.count("def test_"))


def test_suites_are_suites(tmp_path: Path) -> None:
    memory, expectations, whole = blocks("toml")
    path = tmp_path / "my.toml"
    path.write_text(memory)
    assert len(load_suite(path).cells("cpu", 1)) == 2 * 6
    path.write_text(whole)
    assert len(load_suite(path).cells("cpu", 1)) == 5 * 3
    path.write_text(whole + expectations)
    assert [each.estimators for each in load_suite(path).expectations] == [("maml",), ("imaml-cg",), ("maml",)]


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.startswith("imaml-bench")]


@pytest.mark.parametrize("line", commands())
def test_every_command_is_one(line: str) -> None:
    group: Any = typer.main.get_command(app)
    verb, *arguments = shlex.split(line.partition(" > ")[0], comments=True)[1:]
    context = group.commands[verb].make_context(verb, arguments)
    assert context.args == []


FINDINGS = re.findall(r"<!-- findings of (\S+) -->\n(.*?)<!-- /findings -->", README, re.DOTALL)


@pytest.mark.parametrize(("run", "text"), FINDINGS, ids=[run for run, _ in FINDINGS])
def test_findings_are_those_of_the_published_run(run: str, text: str) -> None:
    computed = [sentence for setting in settings([load_run(ROOT / run)]) for sentence in findings(setting)]
    quoted = [line.removeprefix("- ") for line in text.splitlines() if line]
    assert quoted
    assert [sentence for sentence in quoted if sentence not in computed] == []


@pytest.mark.parametrize(
    "folder",
    sorted(page.parent for page in (ROOT / "reports").glob("*/index.html")),
    ids=str,
)
def test_every_report_is_in_the_index_as_it_was_made(folder: Path) -> None:
    index = (ROOT / "reports" / "README.md").read_text().splitlines()
    [line] = [line for line in index if line.startswith(f"| [{folder.name}]")]
    manifest = load_run(folder / "fig2b").manifest
    machine = manifest.machine
    for told in (
        machine.device_name,
        manifest.created_at[:10],
        f"torch {machine.torch}",
        f"imaml-bench {machine.harness}",
    ):
        assert told in line
    assert not manifest.git_dirty


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in target]
    files = [target.partition("#")[0] for target in targets]
    assert [target for target in files if not (page.parent / target).exists()] == []


def test_every_page_is_led_to() -> None:
    assert [page.name for page in PAGES[1:] if f"](docs/{page.name})" not in README] == []
