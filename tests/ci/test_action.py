"""``action.yml`` as GitHub would run it, and the examples of its use."""

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import SUITE

ROOT = Path(__file__).parents[2]
ACTION: Any = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[Any] = ACTION["runs"]["steps"]
HOSTILE = """x$(touch pwned)`touch pwned`"; touch pwned; echo '"""

EXPECT = """
[[expect]]
claim = "MAML is exact"
estimator = "maml"
metric = "backprop_relative_error"
max = {}
"""


def written(content: Any) -> list[str]:
    """Every expression anywhere in it."""
    return re.findall(r"\$\{\{\s*(.*?)\s*\}\}", yaml.safe_dump(content, width=10_000))


class Workflow:
    """A checkout with a suite, and what GitHub gives the steps of the action."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        (folder / "bin").mkdir()
        self.home.mkdir()
        self._executable("imaml-bench", f'exec {shlex.quote(sys.executable)} -m harness "$@"')
        self._executable(
            "python",
            f'if [ "$1 $2" = "-m pip" ]; then printf "%s\\n" "$@" > {shlex.quote(str(folder / "pip"))}; exit; fi\n'
            f'exec {shlex.quote(sys.executable)} "$@"',
        )
        self.outputs: dict[str, dict[str, str]] = {}
        self.log = ""

    def run(self, **inputs: str) -> dict[str, int]:
        """Exit codes of the steps' scripts, by name; the one that fails is the last."""
        given = {name: of.get("default", "") for name, of in ACTION["inputs"].items()} | inputs
        codes: dict[str, int] = {}
        for step in STEPS:
            if "run" in step and not any(codes.values()):
                codes[step["name"]] = self._script(step, given)
        return codes

    def _script(self, step: Any, inputs: dict[str, str]) -> int:
        script, output = self.folder / "step.sh", self.folder / "output"
        script.write_text(step["run"])
        output.write_text("")
        environment = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.home),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_OUTPUT": str(output),
            **{name: self._value(value, inputs) for name, value in step.get("env", {}).items()},
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        self.log += done.stdout + done.stderr
        if "id" in step:
            self.outputs[step["id"]] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return done.returncode

    def _value(self, text: str, inputs: dict[str, str]) -> str:
        [expression] = written(text)
        if expression.startswith("inputs."):
            return inputs[expression.removeprefix("inputs.")]
        if expression == "github.action_path":
            return str(ROOT)
        _, step, _, name = expression.split(".")
        return self.outputs.get(step, {}).get(name, "")

    def _executable(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    (tmp_path / "small.toml").write_text(SUITE + EXPECT.format("1e-10"))
    return Workflow(tmp_path)


# Its form


def test_it_is_a_composite_action_whose_scripts_name_their_shell() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert all(("uses" in step) != ("run" in step) for step in STEPS)
    assert all(step["shell"] == "bash" for step in STEPS if "run" in step)
    assert all(of["description"] and isinstance(of["default"], str) for of in ACTION["inputs"].values())


def test_every_expression_means_something() -> None:
    ids = {step["id"]: step.get("run", "") for step in STEPS if "id" in step}
    conditions = [step["if"] for step in STEPS if "if" in step]
    for expression in [*written(STEPS), *written(ACTION["outputs"]), *conditions]:
        for name in re.findall(r"inputs\.([\w-]+)", expression):
            assert name in ACTION["inputs"]
        for step, output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", expression):
            assert f'echo "{output}=' in ids[step]
    used = set(re.findall(r"inputs\.([\w-]+)", yaml.safe_dump(ACTION["runs"])))
    assert used == set(ACTION["inputs"])


def test_no_expression_stands_in_a_script() -> None:
    assert [step["name"] for step in STEPS if "run" in step and "${{" in step["run"]] == []


@pytest.mark.parametrize("step", [step for step in STEPS if "run" in step], ids=lambda step: step["name"])
def test_scripts_read_no_variable_that_nobody_sets(step: Any) -> None:
    read = set(re.findall(r"\$\{?([A-Z_]+)", step["run"]))
    assert read - {"GITHUB_OUTPUT"} == set(step.get("env", {}))


def test_versions_of_other_actions_are_pinned() -> None:
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+", step["uses"]) for step in STEPS if "uses" in step)


# Its steps


def test_a_run_that_bears_its_suite_out(workflow: Workflow) -> None:
    codes = workflow.run(suite="small.toml", steps="1,2", out="runs/with space")
    assert codes == {"Install": 0, "Measure": 0, "Check": 0, "Report": 0, "Verdict": 0}, workflow.log
    assert (workflow.folder / "pip").read_text().splitlines() == ["-m", "pip", "install", str(ROOT)]
    assert workflow.outputs == {
        "measure": {"run": "runs/with space", "code": "0"},
        "check": {"junit": "runs/with space/expectations.xml", "code": "0"},
        "report": {"page": "runs/with space/report/index.html"},
        "verdict": {"verdict": "pass"},
    }
    assert (workflow.folder / "runs/with space/report/index.html").exists()
    assert (workflow.folder / "runs/with space/expectations.xml").exists()
    summary = (workflow.folder / "summary.md").read_text()
    assert re.findall("^## .*", summary, re.MULTILINE) == ["## small: expectations", "## small"]
    assert "::error" not in workflow.log
    [word] = re.findall("^::stop-commands::([0-9a-f]{32})$", workflow.log.split("pass  ")[0], re.MULTILINE)[:1]
    assert f"\n::{word}::\n" in workflow.log


def test_a_failed_expectation_is_annotated_reported_and_fails_at_the_end(workflow: Workflow) -> None:
    (workflow.folder / "small.toml").write_text(SUITE + EXPECT.format("-1"))
    codes = workflow.run(suite="small.toml", steps="1")
    assert codes == {"Install": 0, "Measure": 0, "Check": 0, "Report": 0, "Verdict": 1}, workflow.log
    assert workflow.outputs["verdict"] == {"verdict": "fail"}
    errors = [line for line in workflow.log.splitlines() if line.startswith("::error")]
    assert len(errors) == 1
    assert errors[0].startswith("::error title=Expectation failed%3A MAML is exact,file=small.toml::")


def test_failed_cells_are_reported_and_fail_at_the_end(workflow: Workflow) -> None:
    (workflow.folder / "small.toml").write_text(SUITE.replace("lr = 0.5", "lr = 1e200"))
    codes = workflow.run(suite="small.toml", steps="4")
    assert codes == {"Install": 0, "Measure": 0, "Check": 0, "Report": 0, "Verdict": 1}, workflow.log
    assert workflow.outputs["verdict"] == {"verdict": "error"}


@pytest.mark.thorough
def test_strict_fails_what_could_not_be_tested(workflow: Workflow) -> None:
    (workflow.folder / "small.toml").write_text(SUITE)
    codes = workflow.run(suite="small.toml", steps="1", strict="true")
    assert (codes["Verdict"], workflow.outputs["verdict"]) == (1, {"verdict": "fail"})


def test_a_version_is_installed_from_the_index(workflow: Workflow) -> None:
    workflow.run(suite="missing.toml", version="1.2.3")
    assert (workflow.folder / "pip").read_text().splitlines()[-1] == "imaml-bench==1.2.3"


@pytest.mark.parametrize("name", ["suite", "device", "steps", "threads", "out", "version", "strict"])
def test_no_input_is_run(workflow: Workflow, name: str) -> None:
    codes = workflow.run(**({"suite": "missing.toml"} | {name: HOSTILE}))
    assert codes["Install"] == 0
    assert codes["Measure"] == 2
    assert list(workflow.folder.rglob("pwned")) == []


def test_no_input_adds_an_output(workflow: Workflow) -> None:
    codes = workflow.run(suite="small.toml", steps="1", out="runs/x\nverdict=pass")
    assert codes == {"Install": 0, "Measure": 2}
    assert workflow.outputs == {"measure": {}}


# The examples


def test_the_workflow_gives_inputs_that_there_are_and_reads_outputs_that_there_are() -> None:
    example: Any = yaml.safe_load((ROOT / "examples" / "github-workflow.yml").read_text())
    [job] = example["jobs"].values()
    [use] = [step for step in job["steps"] if "imaml-bench" in step.get("uses", "")]
    assert set(use["with"]) <= set(ACTION["inputs"])
    read = re.findall(rf"steps\.{use['id']}\.outputs\.(\w+)", yaml.safe_dump(job))
    assert set(read) <= set(ACTION["outputs"])
    assert len(read) == 2
    assert [step for step in job["steps"] if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize(("bound", "code"), [pytest.param("1e-10", 0, marks=pytest.mark.thorough), ("-1", 1)])
def test_the_gitlab_job_leaves_its_artefacts(tmp_path: Path, workflow: Workflow, bound: str, code: int) -> None:
    (tmp_path / "small.toml").write_text(SUITE + EXPECT.format(bound))
    [job] = yaml.safe_load((ROOT / "examples" / "gitlab-ci.yml").read_text()).values()
    assert all(isinstance(line, str) for line in job["script"])
    environment = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(workflow.home),
        **job["variables"],
        "SUITE": "small.toml",
    }
    script = "\n".join(["set -eo pipefail", *job["script"]])
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    artefacts = [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]
    assert all((tmp_path / path).exists() for path in artefacts)
    assert (tmp_path / "runs/imaml-bench/report/index.html").exists()
