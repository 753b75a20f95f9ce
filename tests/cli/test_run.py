"""``imaml-bench run`` as a user meets it: what it prints, leaves behind and exits with."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.store import load_run
from tests.cli.conftest import heed_signals

Command = Callable[..., subprocess.CompletedProcess[str]]

COMMAND = [sys.executable, "-m", "harness", "run"]


def keys(run: Path) -> list[str]:
    return [json.loads(line)["key"] for line in (run / "measurements.jsonl").read_text().splitlines()]


def test_measures_every_cell_a_line_each(bench: Command, suite: Path, tmp_path: Path) -> None:
    done = bench("run", suite, "--out", "out", "--threads", 1)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split("]")[0] for line in lines[:6]] == [f"[{i}/6" for i in range(1, 7)]
    assert all(" ok " in line for line in lines[:6])
    assert lines[-1] == "6 of 6 cells measured; see them with: imaml-bench report out"
    assert len(set(keys(tmp_path / "out"))) == 6
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["machine"]["threads"] == 1
    assert 0 < manifest["overhead_seconds_median"] < 0.5


def test_the_same_command_measures_only_what_is_missing(bench: Command, suite: Path, tmp_path: Path) -> None:
    bench("run", suite, "--out", "out", "--steps", "1,2")
    done = bench("run", suite, "--out", "out")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("2 of 6 cells measured, 4 were there already")
    assert len(keys(tmp_path / "out")) == 6


def test_default_folder_is_named_after_the_suite(bench: Command, suite: Path, tmp_path: Path) -> None:
    assert bench("run", suite, "-q", "--steps", "1").stdout == ""
    assert len(keys(tmp_path / "runs" / "small")) == 2


def test_json_prints_the_measurements(bench: Command, suite: Path) -> None:
    done = bench("run", suite, "--out", "out", "--json", "--steps", "2", "--estimator", "imaml-cg")
    [measurement] = map(json.loads, done.stdout.splitlines())
    assert measurement["status"] == "ok"
    assert measurement["cell"]["label"] == "iMAML"
    assert measurement["metrics"]["gradient_count"] == [4.0]


def test_an_interrupted_run_loses_nothing_and_goes_on(bench: Command, suite: Path, tmp_path: Path) -> None:
    words = [*COMMAND, suite, "--out", "out", "--steps", "1,2,5000"]  # the last takes longer than any signal
    with subprocess.Popen(words, cwd=tmp_path, stdout=-1, stderr=-1, text=True, preexec_fn=heed_signals) as process:
        try:
            assert process.stdout is not None
            seen = [process.stdout.readline() for _ in range(2)]
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == "imaml-bench: interrupted; the same command goes on from here\n"
    kept = len(keys(tmp_path / "out"))
    assert len(seen) <= kept <= 4
    done = bench("run", suite, "--out", "out")
    assert done.returncode == 0
    assert f"{6 - kept} of 6 cells measured, {kept} were there already" in done.stdout
    assert len(set(keys(tmp_path / "out"))) == 6


def test_failed_cells_exit_with_3_and_are_tried_again(bench: Command, suite: Path, tmp_path: Path) -> None:
    suite.write_text(suite.read_text().replace("lr = 0.5", "lr = 1e200"))
    for _ in range(2):
        done = bench("run", suite, "--out", "out", "--estimator", "maml", "--steps", "4")
        assert done.returncode == 3
        assert "diverged  the meta-gradient is not finite at K = 4" in done.stdout
        assert done.stdout.splitlines()[-1].startswith("1 of 1 cells measured, 1 failed")
    assert len(keys(tmp_path / "out")) == 2


def test_a_cell_forecast_not_to_fit_is_skipped(bench: Command, suite: Path, tmp_path: Path) -> None:
    suite.write_text(
        suite.read_text().replace('name = "linear"\ndim = 4\nn = 8', 'name = "mlp"\nwidth = 512\ndepth = 4')
    )
    suite.write_text(re.sub("passes = .*\nreferences = .*", 'passes = ["memory"]', suite.read_text()))
    done = bench("run", suite, "--out", "out", "--estimator", "maml", "--steps", "1,1000000")
    assert done.returncode == 0
    assert re.search(r"K=1000000 MAML +skipped  forecast [\d.]+ [GT]B of [\d.]+ [GT]B", done.stdout)
    assert done.stdout.splitlines()[-1].startswith("1 of 2 cells measured, 1 skipped")
    skipped = json.loads((tmp_path / "out" / "measurements.jsonl").read_text().splitlines()[1])
    assert skipped["status"] == "skipped"
    assert list(skipped["metrics"]) == ["forecast_peak_bytes"]


def test_every_process_of_a_cell_is_kept(bench: Command, suite: Path, tmp_path: Path) -> None:
    done = bench("run", suite, "--out", "out", "--steps", "1", "--repeat", "2")
    assert done.stdout.splitlines()[-1].startswith("4 of 4 cells measured")
    done = bench("run", suite, "--out", "out", "--steps", "1", "--repeat", "3")
    assert done.stdout.splitlines()[-1].startswith("2 of 6 cells measured, 4 were there already")
    lines = (tmp_path / "out" / "measurements.jsonl").read_text().splitlines()
    assert [json.loads(line)["repeat"] for line in lines] == [0, 0, 1, 1, 2, 2]
    run = load_run(tmp_path / "out")
    assert run.manifest.repeats == 3
    assert run.notices == []
    assert [len(each.metrics["process_seconds"]) for each in run.measurements] == [3, 3]
    assert all(each.notes.keys().isdisjoint(["flops", "peak_bytes"]) for each in run.measurements)


def test_a_trace_is_left_in_the_run(bench: Command, suite: Path, tmp_path: Path) -> None:
    bench("run", suite, "--out", "out", "--steps", "2", "--estimator", "maml", "--trace")
    [key] = keys(tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "traces").iterdir())
    assert names == [f"{key}.profile.json.gz", f"{key}.timeline.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fig2c"], "unknown suite 'fig2c': did you mean 'fig2b'?"),
        (["missing.toml"], "missing.toml: no such suite file"),
        (["SUITE", "--steps", "1,0"], "--steps: '0' is not a positive whole number; write them as in 1,2,4"),
        (["SUITE", "--steps", "2.5"], "--steps: '2.5' is not a positive whole number; write them as in 1,2,4"),
        (["SUITE", "--estimator", "mamll"], "unknown estimator of suite 'small' 'mamll': did you mean 'maml'?"),
        (["SUITE", "--device", "gpu"], "unknown device 'gpu': "),
        (["SUITE", "--device", "cuda:99"], "device 'cuda:99': "),
        (["SUITE", "--out", "small.toml"], "small.toml"),
        (["SUITE", "--out", "/proc/nowhere"], "cannot write to /proc/nowhere"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    bench: Command, suite: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = bench("run", *(str(suite) if argument == "SUITE" else argument for argument in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("imaml-bench: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lam = 0.5", "lam = 0", "estimator 'imaml-cg': lam: 0 is not above 0, as an implicit estimator needs"),
        ("lam = 0.5", "lamb = 0.5", "inner.lamb"),
        ('name = "maml"', 'name = "mam"', "did you mean 'maml'"),
        ("dim = 4", "dimension = 4", "problem 'linear': unknown parameter 'dimension': known: "),
        ("dim = 4", "dim = 40", "problem 'linear': n: 8 examples are fewer than dim = 40"),
        ("steps = [1, 2, 4]", "steps = [1, 2.0]", "grid.steps"),
        ("title", "titel", "did you mean 'title'"),
    ],
)
def test_a_bad_suite_is_one_line_with_its_file(
    bench: Command, suite: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    suite.write_text(suite.read_text().replace(old, new, 1))
    done = bench("run", suite, "--out", "out")
    assert done.returncode == 2
    assert done.stderr.startswith(f"imaml-bench: {suite}: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_another_suites_run_is_refused_and_kept(bench: Command, suite: Path, tmp_path: Path) -> None:
    bench("run", suite, "--out", "out", "--steps", "1")
    before = (tmp_path / "out" / "measurements.jsonl").read_bytes()
    suite.write_text(suite.read_text().replace("lam = 0.5", "lam = 0.6"))
    done = bench("run", suite, "--out", "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "choose another --out" in done.stderr
    assert (tmp_path / "out" / "measurements.jsonl").read_bytes() == before


def test_a_torn_line_is_reported_and_measured_again(bench: Command, suite: Path, tmp_path: Path) -> None:
    bench("run", suite, "--out", "out", "--steps", "1")
    file = tmp_path / "out" / "measurements.jsonl"
    file.write_bytes(file.read_bytes()[:-30])
    done = bench("run", suite, "--out", "out", "--steps", "1")
    assert done.returncode == 0
    assert "note: " in done.stdout.splitlines()[0]
    assert len(set(keys(tmp_path / "out"))) == 2
