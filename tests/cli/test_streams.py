import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = f"{sys.executable} -m harness"
LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SUITE = """
title = "λ"
[problem]
name = "linear"
dim = 4
[[estimator]]
name = "maml"
label = "MAML, λ → 0"
lr = 0.5
[grid]
steps = [1, 2]
[measure]
passes = ["counters"]
"""


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    packages = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env={**os.environ, **packages, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "2>/dev/full", "| head -n 1 >&2"])
def test_a_verb_works_whatever_becomes_of_what_it_says(tmp_path: Path, redirected: str) -> None:
    done = shell(f"{BENCH} list {redirected}", tmp_path)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("verb", ["list", "plan ci --device cpu", "list --json"])
def test_a_full_disk_under_stdout_is_one_line(tmp_path: Path, verb: str) -> None:
    done = shell(f"{BENCH} {verb} >/dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "imaml-bench: cannot write to standard output: No space left on device\n"


def test_bad_input_keeps_its_exit_code_where_nothing_can_be_said(tmp_path: Path) -> None:
    assert shell(f"{BENCH} report nothing >/dev/full 2>/dev/full", tmp_path).returncode == 2


def test_a_run_goes_on_where_its_encoding_lacks_a_letter_and_its_reader_is_gone(tmp_path: Path) -> None:
    (tmp_path / "letters.toml").write_text(SUITE)
    done = shell(f"{BENCH} run letters.toml --device cpu --out run", tmp_path, **LOCALE)
    assert done.returncode == 0, done.stderr
    assert r"MAML, \u03bb \u2192 0" in done.stdout
    again = shell(f"{BENCH} run letters.toml --device cpu --out full >/dev/full 2>&1", tmp_path, **LOCALE)
    assert again.returncode == 2
    assert (tmp_path / "full" / "measurements.jsonl").read_text().count("\n") == 2


@pytest.mark.parametrize("verb", ["report", "check", "export --format csv", "compare run"])
def test_other_verbs_speak_ascii_as_well(tmp_path: Path, verb: str) -> None:
    run = Path(__file__).parents[2] / "reports" / "intel-xeon-processor-2-threads" / "capacity"
    (tmp_path / "run").symlink_to(run)
    out = " --out report" if verb == "report" else ""
    done = shell(f"{BENCH} {verb} run{out}", tmp_path, **LOCALE)
    assert done.returncode == 0, done.stderr


def test_commands_to_the_terminal_in_a_message_are_written_out(tmp_path: Path) -> None:
    done = shell(f"{BENCH} report $'\\x1b[2Jgone'", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "imaml-bench: \\x1b[2Jgone: no such folder\n"


GONE = "mkdir gone && cd gone && rmdir ../gone"


def test_without_a_working_directory_nothing_is_measured_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "letters.toml").write_text(SUITE)
    refused = shell(f"{GONE} && {BENCH} run {tmp_path}/letters.toml --device cpu --out {tmp_path}/run", tmp_path)
    line = "imaml-bench: the working directory has been removed; change to one that exists\n"
    assert (refused.returncode, refused.stderr) == (2, line)
    assert not (tmp_path / "run").exists()
    assert shell(f"{GONE} && {BENCH} list", tmp_path).returncode == 0
    read = shell(f"{GONE} && {BENCH} report nothing", tmp_path)
    assert (read.returncode, read.stderr) == (2, "imaml-bench: nothing: no such folder\n")


def test_a_run_goes_on_though_its_working_directory_is_removed(tmp_path: Path) -> None:
    suite = SUITE.replace("[1, 2]", "[1, 2, 3, 4]")
    (tmp_path / "letters.toml").write_text(suite)
    command = f"{BENCH} run {tmp_path}/letters.toml --device cpu --out {tmp_path}/run"
    removed = "while [ ! -s run/measurements.jsonl ]; do sleep 0.01; done; rmdir gone"
    done = shell(f"mkdir gone; (cd gone && exec {command}) & ({removed}); wait $!", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "measurements.jsonl").read_text().count("\n") == 4
